"""The benchmarks of detectors: a training step, and inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from rgacli.bench.alternating import Spread, alternate, ratio
from rgacli.bench.contestants import TITLES, UNEQUAL, Contestant, OfMMDet, contestants, is_resnet50_fpn
from rgacli.bench.counting import count
from rgacli.bench.floor import inference_floor, training_floor
from rgacli.bench.parts import parts_in_turn
from rgacli.bench.scenes import Scene, draw
from rgacli.bench.settings import Settings, wait
from rgacli.bench.weights import RANDOM, describe, find_weights
from rgacli.config.recipe import bbox_head_configs
from rgacli.engine.compiling import require_compiler
from rgacli.progress import Progress

EVERY_HEAD = "-all"
"""Ends the name of a contestant that has each head's detections, too."""
FLOOR = "floor of "
COUNTED_SIZE = (128, 160)
"""(height, width) px of images at which operations are counted: their number does not depend on it."""
_SEED = 1_000_000  # of the images: none that the weights were trained on
_RGA_REPEATS, _PARTS_REPEATS = 50, 3


@dataclass(frozen=True)
class Field:
    """What is measured: the contestants, on the same images by the same weights.

    Attributes:
        contestants: Name -> contestant.
        scenes: The batch.
        classes: Number of classes.
        inputs: What `weights.describe` says of the images under these weights.
        peaks: Name -> peak memory of a training step in bytes, on a GPU.
        left_out: Why a contestant that was asked for is none.
    """

    contestants: Mapping[str, Contestant]
    scenes: Sequence[Scene]
    classes: int
    inputs: Mapping[str, float]
    peaks: Mapping[str, int]
    left_out: Sequence[str]


def field(settings: Settings, *, training: bool, progress: Progress | None = None) -> Field:
    """Build the contestants.

    Args:
        settings: Of the benchmark.
        training: Whether the peak memory of a training step is wanted, or of a prediction.
        progress: Told of each contestant, and of the making of weights.

    Raises:
        UsageError: there are no such weights, or no such detectors can be made by the config.
    """
    cfg, checkpoint = find_weights(settings.weights, settings.config, progress)
    classes = bbox_head_configs(cfg)[0].num_classes
    scenes = draw(settings.batch, settings.size, classes, seed=_SEED)
    if progress:
        progress("building", 0, len(settings.contestants))
    stock = OfMMDet("stock", cfg, checkpoint, scenes, settings)
    inputs = describe(stock.model, list(scenes))
    del stock
    found, peaks = {}, {}
    names, left_out = _possible(settings.contestants, cfg)
    building = contestants(names, cfg, checkpoint, scenes, settings)
    for done, name in enumerate(names, start=1):
        before = _start_peak()
        contestant = found[name] = next(building)
        work = contestant.train_step if training else contestant.predict
        for _ in range(2):  # an optimizer's state comes with its first step
            work()
        if before is not None:
            peaks[name] = torch.cuda.max_memory_allocated() - before
        if progress:
            progress("building", done, len(names), name)
    return Field(found, scenes, classes, inputs, peaks, left_out)


def measure_training(settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """Return what training steps take: of each contestant, of the arithmetic alone, and of RGA.

    Raises:
        UsageError: as `field`, or ours are to be compiled and torch cannot.
    """
    if settings.compile:
        require_compiler()
    own = field(settings, training=True, progress=progress)
    works = {name: contestant.train_step for name, contestant in own.contestants.items()}
    floors = _floors(own, settings, training_floor)
    taken = _alternate({**works, **floors}, settings, "training steps", progress)
    rows = _rows(own, taken, settings, works, progress)
    for name, contestant in own.contestants.items():
        if isinstance(contestant, OfMMDet) and contestant.rga:
            scaling = alternate({"RGA": contestant.scale_gradients()}, repeats=_RGA_REPEATS, warm_up=3, wait=wait)
            rows[name]["rga_seconds"] = asdict(Spread.of(scaling["RGA"]))
            rows[name]["rga_share"] = Spread.of(scaling["RGA"]).median / Spread.of(taken[name]).median
    counts = _counts(own, settings, lambda contestant, scenes: contestant.forward_loss(scenes), progress)
    return _section(own, settings, rows, taken, counts)


def measure_inference(settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """Return what predictions take: of one head, of the ensemble alone, of all heads and the ensemble.

    Raises:
        UsageError: as `field`.
    """
    own = field(settings, training=False, progress=progress)
    works: dict[str, Callable[[], Any]] = {}
    for name, contestant in own.contestants.items():
        if isinstance(contestant, OfMMDet):
            contestant.only_detect()
        works[name] = contestant.predict
        if contestant.heads > 1:
            works[name + EVERY_HEAD] = _every_head(contestant)
    floors = _floors(own, settings, inference_floor)
    taken = _alternate({**works, **floors}, settings, "predictions", progress)
    rows = _rows(own, taken, settings, works, progress)
    counts = _counts(own, settings, lambda contestant, scenes: contestant.forward_predict(scenes), progress)
    return _section(own, settings, rows, taken, counts)


def _possible(names: Sequence[str], cfg: Config) -> tuple[list[str], list[str]]:
    """Return the contestants that a config can have, and why others are left out."""
    if is_resnet50_fpn(cfg) or "torchvision" not in names:
        return list(names), []
    return [name for name in names if name != "torchvision"], ["torchvision: the config is no ResNet-50 with FPN"]


def _every_head(contestant: OfMMDet) -> Callable[[], Any]:
    return lambda: contestant.predict(every_head=True)


def _floors(own: Field, settings: Settings, make: Callable[..., Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
    """Return the floors of contestants with 1, 2, … heads: one each, since the arithmetic is the same."""
    heads, floors = set(), {}
    for name, contestant in own.contestants.items():
        if isinstance(contestant, OfMMDet) and contestant.heads not in heads:
            heads.add(contestant.heads)
            floors[FLOOR + name] = make(contestant, own.scenes, settings.amp)
    return floors


def _alternate(
    works: Mapping[str, Callable[[], Any]], settings: Settings, task: str, progress: Progress | None
) -> dict[str, list[float]]:
    return alternate(works, repeats=settings.repeats, warm_up=settings.warm_up, wait=wait, progress=progress, task=task)


def _rows(
    own: Field,
    taken: Mapping[str, list[float]],
    settings: Settings,
    works: Mapping[str, Callable[[], Any]],
    progress: Progress | None,
) -> dict[str, dict[str, Any]]:
    """Return name -> its figures, of contestants and floors."""
    timed = {name: (work, own.contestants[_base(name)].parts()) for name, work in works.items()}
    repeats = min(settings.repeats, _PARTS_REPEATS)
    parts = parts_in_turn(timed, repeats=repeats, wait=wait, progress=progress)
    rows: dict[str, dict[str, Any]] = {}
    by_heads = {own.contestants[name.removeprefix(FLOOR)].heads: name for name in taken if name.startswith(FLOOR)}
    for name, seconds in taken.items():
        base = _base(name)
        contestant = own.contestants[base]
        row = rows[name] = {
            "title": _title(name, base),
            "seconds": asdict(Spread.of(seconds)),
            "images_per_second": settings.batch / Spread.of(seconds).median,
        }
        if name in works:
            row["parts"] = parts[name]
            row["peak_memory"] = own.peaks.get(name)
            if contestant.heads in by_heads:
                row["to_floor"] = asdict(ratio(seconds, taken[by_heads[contestant.heads]]))
        if "stock" in taken:
            row["to_stock"] = asdict(ratio(seconds, taken["stock"]))
    return rows


def _base(name: str) -> str:
    """Return the contestant whose row a name stands for."""
    return name.removeprefix(FLOOR).removesuffix(EVERY_HEAD)


def _title(name: str, base: str) -> str:
    if name.startswith(FLOOR):
        return f"the arithmetic of {base} alone"
    return TITLES[base] + (", each head and the ensemble" if name.endswith(EVERY_HEAD) else "")


def _counts(
    own: Field,
    settings: Settings,
    forward: Callable[[Contestant, Sequence[Scene]], Callable[[], Any]],
    progress: Progress | None,
) -> dict[str, dict[str, dict[str, int]]]:
    """Return contestant -> number of images -> ops, syncs and nms of a forward pass."""
    counts: dict[str, dict[str, dict[str, int]]] = {name: {} for name in own.contestants}
    total, done = len(settings.counts) * len(counts), 0
    for images in settings.counts:
        scenes = draw(images, COUNTED_SIZE, own.classes, seed=_SEED)
        for name, contestant in own.contestants.items():
            work = forward(contestant, scenes)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                count(work)  # what is made once for a size and a device, and kept, such as anchors
                counts[name][str(images)] = asdict(count(work))
            done += 1
            if progress:
                progress("counting", done, total, f"{name}, {images} images")
    return counts


def _section(
    own: Field,
    settings: Settings,
    rows: Mapping[str, Any],
    taken: Mapping[str, list[float]],
    counts: Mapping[str, Any],
) -> dict[str, Any]:
    ratios = {}
    for over, under in (("k2", "k1"), ("k2", "stock"), ("k2", "torchvision"), ("k1", "stock"), ("k2-all", "k1")):
        if over in taken and under in taken:
            ratios[f"{over}/{under}"] = asdict(ratio(taken[over], taken[under]))
    return {
        "settings": {**asdict(settings), "device": get_device(), "threads": torch.get_num_threads()},
        "weights": _weights_words(settings.weights),
        "inputs": dict(own.inputs),
        "rows": dict(rows),
        "ratios": ratios,
        "counts": {"images_of": list(COUNTED_SIZE), "contestants": dict(counts)},
        "unequal": [line for line in UNEQUAL if not line.startswith("torchvision") or "torchvision" in own.contestants],
        "left_out": list(own.left_out),
        "peak_memory": "torch.cuda.max_memory_allocated, less what other contestants held"
        if own.peaks
        else "not measured: torch counts it on a GPU alone",
    }


def _weights_words(weights: str | None) -> str:
    if weights == RANDOM:
        return "random: nothing is detected, and NMS has little to do"
    return f"of {Path(weights).name}" if weights else "trained briefly on the embedded dataset's kind of images"


def _start_peak() -> int | None:
    """Return the GPU memory that is held, and start to look for the peak; None without a GPU."""
    if get_device() != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()
