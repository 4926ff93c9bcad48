"""What a benchmark of detectors is run with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.device import get_device

from rgacli.errors import UsageError
from rgacli.wording import param

CONTESTANTS = ("k1", "k2", "k5", "stock", "torchvision")
CONFIG = "faster-rcnn_r50_fpn_rga-prm"
_SIZES = {"cuda": (800, 1333)}
_SMALL = (480, 640)


@dataclass(frozen=True)
class Settings:
    """Settings of the benchmarks of detectors.

    Attributes:
        config: What all contestants but torchvision's are built by, as `load_config` takes it.
        weights: A run or a checkpoint; None for the benchmark's own, "random" for none.
        contestants: Of CONTESTANTS, in the order of the table.
        batch: Images in a step.
        size: (height, width) px of an image.
        repeats: Rounds that count.
        warm_up: Rounds before them.
        amp: "fp16" or "bf16"; None for full precision.
        compile: Whether our contestants train with their backbone and neck compiled.
        counts: Numbers of images at which operations are counted; may be empty.
    """

    config: str | None = None
    weights: str | None = None
    contestants: tuple[str, ...] = CONTESTANTS
    batch: int = 2
    size: tuple[int, int] = _SMALL
    repeats: int = 5
    warm_up: int = 1
    amp: str | None = None
    compile: bool = False
    counts: tuple[int, ...] = (2, 8, 16)


def parse_size(text: str | None) -> tuple[int, int]:
    """Return (height, width) of "800x1333"; without, what the device that mmengine takes is fit for.

    Raises:
        UsageError: it is none, or a side is below 64 px.
    """
    if text is None:
        return _SIZES.get(get_device(), _SMALL)
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.strip().lower())
    if match is None or min(map(int, match.groups())) < 64:
        raise UsageError(f"{param('size', text)} is no HEIGHTxWIDTH such as 800x1333, of at least 64 px a side.")
    return int(match[1]), int(match[2])


def parse_contestants(text: str | None) -> tuple[str, ...]:
    """Return the contestants of "k2,stock"; all of them without.

    Raises:
        UsageError: there is no such contestant, or none is named.
    """
    names = CONTESTANTS if text is None else tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [name for name in names if name not in CONTESTANTS]:
        raise UsageError(
            f"{param('contestants', text)}: there is no '{unknown[0]}'; there are {', '.join(CONTESTANTS)}."
        )
    return names


def parse_counts(text: str) -> tuple[int, ...]:
    """Return the numbers of "2,8,16"; none of "".

    Raises:
        UsageError: one is no number, or below 1.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if any(not part.isdigit() or int(part) < 1 for part in parts):
        raise UsageError(f"{param('counts', text)} is no list of numbers of images such as 2,8,16.")
    return tuple(map(int, parts))


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Run a block with so many CPU threads of torch's; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait() -> None:
    """Wait for what the device has still to do."""
    if get_device() == "cuda":
        torch.cuda.synchronize()
    elif get_device() == "mps":
        torch.mps.synchronize()
