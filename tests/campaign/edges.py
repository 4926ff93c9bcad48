"""Numbers at the edge.

Each trial trains on a dataset, or by settings, that are as far out as they may be, and then does with the run what
users do. All of it has to end well, with AP in [0, 1] or unknown, and without a number that is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from tests.campaign import drawn
from tests.campaign.drawn import Box, Drawn
from tests.campaign.ended import Ended, require_well
from tests.campaign.stage import Stage
from tests.campaign.trial import Trial
from tests.cli.commands import TINY, settings

NAME = "edge"
BOXES: tuple[Box, ...] = ((4, 6, 20, 24), (36, 30, 18, 22))
PLAIN = Drawn(boxes=BOXES)
EMPTY = Drawn()


@dataclass(frozen=True)
class Edge:
    """What is far out.

    Attributes:
        kind, name: As a trial's.
        train, val: Images; those to test on are those to validate on. None is the part's own dataset.
        classes: Of them.
        options: Of the training.
        codes: It may end by.
        says: What its error has to say, if it fails.
        megabytes: Of memory.
        flat: Whether images are of one colour. Many boxes then have the same score to the last bit, rounding decides
            which of them are found, and an export cannot be compared with its run.
        onnx: Whether the run is exported to ONNX as well.
        short: Whether it is one of the short campaign.
    """

    kind: str
    name: str
    train: Sequence[Drawn] | None = None
    val: Sequence[Drawn] = (PLAIN, PLAIN)
    classes: Sequence[str] = ("thing",)
    options: Sequence[object] = ()
    codes: tuple[int, ...] = (0,)
    says: str = ""
    megabytes: float = 4000
    flat: bool = False
    onnx: bool = False
    short: bool = False


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield them."""
    for edge in edges(stage):
        if edge.short or not stage.short:
            yield Trial(edge.kind, edge.name, partial(attempt, stage, edge))


def edges(stage: Stage) -> Iterator[Edge]:
    """Yield what is far out."""
    yield from _of_objects(stage)
    yield from _of_sizes()
    yield from _of_settings()
    yield from _of_precision()


def _of_objects(stage: Stage) -> Iterator[Edge]:
    kind = "how many objects"
    yield Edge(kind, "half the images have none", [PLAIN, EMPTY] * 3, [EMPTY, PLAIN], short=True)
    yield Edge(kind, "one image of eight has any", [EMPTY] * 7 + [PLAIN], [EMPTY] * 3 + [PLAIN])
    yield Edge(
        kind,
        "images without any are trained on as well",
        [EMPTY] * 7 + [PLAIN],
        options=settings({"train_dataloader.dataset.filter_cfg.filter_empty_gt": False}),
    )
    yield Edge(kind, "none to train on", [EMPTY] * 4, codes=(2,), says="no objects in the train split", short=True)
    yield Edge(kind, "none to validate on", [PLAIN] * 4, [EMPTY], codes=(2,), says="no objects in the val split")
    yield Edge(kind, "a single image", [PLAIN], [PLAIN], onnx=True, short=True)
    many = Drawn((160, 128), _grid(25, 20, 6, 6))
    yield Edge(kind, "500 in an image", [many, many], [many], onnx=True)
    mixed = [Drawn((160, 128), _grid(number, 1, 5, 5)) for number in (1, 3, 4, 7, 8, 20)]
    yield Edge(kind, "1 to 20, at the bins' ends", mixed, mixed)
    names = [f"class {number}" for number in range(1200)]
    labels = [stage.random.sample(range(1200), 2) for _ in range(4)]
    spread = [Drawn(boxes=BOXES, labels=two) for two in labels]
    yield Edge("how many classes", "1200", spread, spread, names, onnx=True)
    yield Edge("how many classes", "1 of 3 has objects", [PLAIN] * 3, classes=("a", "b", "c"), short=True)
    yield Edge(
        "how many classes",
        "those validated on are others than those trained on",
        [PLAIN] * 3,
        [Drawn(boxes=BOXES, labels=(1, 2))],
        ("a", "b", "c"),
    )


def _grid(columns: int, rows: int, width: float, height: float) -> list[Box]:
    return [(x * width + 1, y * height + 1, width - 2, height - 2) for x in range(columns) for y in range(rows)]


_ALL_SIZES = settings({"train_dataloader.dataset.filter_cfg.min_size": 0})


def _of_sizes() -> Iterator[Edge]:
    kind = "sizes of boxes"
    boxes: dict[str, list[Box]] = {
        "a pixel": [(10, 10, 1, 1), (30, 40, 1, 1)],
        "half a pixel": [(10, 10, 0.5, 0.5), (30, 40.25, 0.5, 0.5)],
        "a thousandth of a pixel": [(10, 10, 0.001, 0.001), (20, 20, 20, 20)],
        "the whole image": [(0, 0, 64, 64)],
        "a line": [(0, 30, 64, 1), (30, 0, 1, 64)],
        "one on another": [(10, 10, 20, 20)] * 8,
        "partly outside": [(-10, -10, 30, 30), (50, 50, 40, 40)],
    }
    for name, own in boxes.items():
        yield Edge(kind, name, [Drawn(boxes=own)] * 4, [Drawn(boxes=own)], short=name == "half a pixel")
    kind = "sizes of images"
    for width, height in ((1, 1), (1, 2000), (2000, 1), (2, 3000), (7, 7), (33, 900)):
        image = Drawn((width, height), [(0, 0, width, height)])
        alone, name, flat = ([image, image], [image]), f"{width}x{height}", max(width, height) == 1
        if min(width, height) < 32:
            yield Edge(kind, f"{name} alone", *alone, codes=(2,), says="a side below 32 px", short=name == "1x2000")
        yield Edge(kind, f"{name}, whatever is trained on", *alone, options=_ALL_SIZES, flat=flat)
        among = ([image, PLAIN, PLAIN, image], [image, PLAIN])
        yield Edge(kind, f"{name} among others", *among, flat=flat, onnx=height > 1, short=name == "2000x1")
    large = Drawn((5472, 3648), [(100, 200, 900, 900), (3000, 2000, 30, 30)])
    yield Edge("20 megapixels", "made smaller", [large], [large], megabytes=1500, onnx=True)


def _of_settings() -> Iterator[Edge]:
    kind = "settings"
    sixteen = ",".join(f"1:{number}" for number in range(1, 17))
    many = settings({"model.train_cfg.rcnn.sampler.num": 2048})
    few = "leaves a head without positives"
    yield Edge(kind, "no place for a positive", options=("--ratios", "1:1000,1:1"), codes=(2,), says=few, short=True)
    options: dict[str, Sequence[object]] = {
        "lambda0 1e6": ("--lambda0", 1e6),
        "lambda0 1e6, not annealed": ("--lambda0", 1e6, "--anneal", "none", "--clip", 0),
        "lambda0 1, ratios 1:1000 and 1000:1": ("--lambda0", 1, "--ratios", "1:1000,1000:1", *many),
        "hard sampling at 1:1000 and 1000:1": ("--ratios", "1:1000,1000:1", "--sampling", "hard", *many),
        "16 heads": ("--ratios", sixteen),
        "16 heads, nested": ("--ratios", sixteen, "--draws", "nested"),
        "one head": ("--ratios", "1:3"),
        "a batch larger than the dataset": ("--batch-size", 64),
        "a last batch of one image": ("--batch-size", 7),
        "more accumulated than there is": ("--accumulate", 100),
        "lr 0": ("--lr", 0),
        "lr 1e-30": ("--lr", 1e-30),
        "ema momentum 0.499": ("--ema-momentum", 0.499),
        "clip 1e-30": ("--clip", 1e-30),
        "weight decay 0 and momentum 0": settings(
            {"optim_wrapper.optimizer.weight_decay": 0.0, "optim_wrapper.optimizer.momentum": 0.0}
        ),
        "patience 1": ("--patience", 1, "--set", "train_cfg.val_interval=1"),
        "one proposal": settings({"model.train_cfg.rpn_proposal.max_per_img": 1, "model.test_cfg.rpn.max_per_img": 1}),
        "ten samples": settings({"model.train_cfg.rcnn.sampler.num": 10, "model.train_cfg.rpn.sampler.num": 2}),
    }
    refused = ("lambda0 1e6", "lambda0 1e6, not annealed", "lr 0")
    for name, own in options.items():
        yield Edge(
            kind,
            name,
            options=own,
            codes=(0, 1, 2) if name in refused else (0,),
            onnx=name == "16 heads",
            short="1000:1" in name,
        )
    # Four steps of a learning rate that warms up from a thousandth of it.
    for lr in (1e3, 1e10, 1e30, 1e300):
        codes = (0, 1) if lr < 1e10 else (1, 2)
        yield Edge("divergence", f"lr {lr:g}", options=("--lr", lr), codes=codes, says="lr", short=lr == 1e30)


def _of_precision() -> Iterator[Edge]:
    kind = "precision"
    # Images that are not normalised, and more than that: in fp16 the first convolution overflows.
    huge = settings({"model.data_preprocessor.std": [1e-3, 1e-3, 1e-3]})
    options: dict[str, Sequence[object]] = {
        "fp16": ("--amp", "--amp-dtype", "fp16"),
        "bf16": ("--amp", "--amp-dtype", "bf16"),
        "fp16, lambda0 1e4": ("--amp", "--lambda0", 1e4),
        "fp16, pixels of 1e5": ("--amp", *huge),
        "bf16, pixels of 1e5": ("--amp-dtype", "bf16", *huge),
        "fp32, pixels of 1e5": huge,
        "fp16, a loss scale of 2^40": ("--amp", *settings({"optim_wrapper.loss_scale": {"init_scale": 2.0**40}})),
        "fp16, a fixed loss scale of 2^40": ("--amp", *settings({"optim_wrapper.loss_scale": 2.0**40})),
        "fp16, accumulated, ema": ("--amp", "--accumulate", 3, "--ema"),
    }
    for name, own in options.items():
        codes = (0,) if name in ("fp16", "bf16", "fp16, accumulated, ema") else (0, 1)
        yield Edge(kind, name, options=own, codes=codes, says="lr" if len(codes) > 1 else "", short=name == "fp16")


def attempt(stage: Stage, edge: Edge, folder: Path) -> None:
    """Train, and do with the run what users do."""
    data = stage.dataset
    if edge.train is not None:
        splits = {"train": edge.train, "val": edge.val, "test": edge.val}
        data = drawn.write(folder / "data", splits, edge.classes)
    rgacli = partial(stage.rgacli, cwd=folder, seconds=900, megabytes=edge.megabytes)
    ended = rgacli(
        *("train", "quickstart", "--data", data, "--epochs", 2, "--device", "cpu", "--name", NAME),
        *("--set", "train_cfg.val_interval=1", *TINY, *edge.options),
    )
    require_well(ended, *edge.codes)
    run = folder / "runs" / NAME
    if (run / "metrics.jsonl").is_file():
        for line in (run / "metrics.jsonl").read_text().splitlines():
            strict(line)
    if ended.code:
        assert edge.says in ended.errors[0], f"{ended.errors[0]} does not say '{edge.says}'"
        return
    put_to_use(rgacli, data, checked=not edge.flat, all_of_it=edge.train is not None, onnx=edge.onnx)
    require_best(run)


def put_to_use(rgacli: Callable[..., Ended], data: Path, *, checked: bool, all_of_it: bool, onnx: bool) -> None:
    """Do with a run what users do; fails unless all of it ends well.

    Args:
        rgacli: Runs the command line.
        data: The dataset.
        checked: Whether the export compares itself with the run.
        all_of_it: Or only what looks at each number.
        onnx: Whether it goes out as ONNX, and what came out detects.
    """
    run, cpu, images = f"runs/{NAME}", ("--device", "cpu"), data / "images/val"
    unchecked = () if checked else ("--check", 0)
    commands = [
        ("eval", run, "--head", "all", "--per-class", "--json", *cpu),
        ("analyze", "gt-bins", run, "--bootstrap", 20, "--json", *cpu),
        ("export", "fold", run, "--json", *unchecked),
    ]
    more = [
        ("ensemble", run, "--json", *cpu),
        ("predict", images, "--run", run, "--score", 0, "--json", *cpu),
        ("predict", images, "--run", run, "--score", 0, "--json", "--tiles", _tile(images), "--out", "tiled", *cpu),
    ]
    written = [
        ("export", "onnx", run, "--json", *unchecked),
        ("predict", images, "--checkpoint", f"{run}/export/fold.onnx", "--json", "--out", "by-onnx", *cpu),
    ]
    for arguments in commands + more * all_of_it + written * onnx:
        require_numbers(strict(require_well(rgacli(*arguments), 0).stdout))
    shown = require_well(rgacli("eval", run, "--head", "all", "--per-class", *cpu), 0).stdout
    assert "nan" not in shown.lower(), f"a table shows nan:\n{shown}"


def _tile(images: Path) -> int:
    """Return a tile's side, px, that cuts the largest of a folder's images into some tiles, and not into thousands."""
    sides = []
    for path in images.iterdir():
        with Image.open(path) as image:
            sides.append(max(image.size))
    return max(32, max(sides) // 4)


def strict(text: str) -> Any:
    """Return what JSON says; fails where it says NaN or Infinity, which strict readers refuse."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON: {text[:300]}")

    return json.loads(text, parse_constant=refuse)


def require_numbers(value: Any, name: str = "") -> None:
    """Fail if an AP is outside [0, 1]."""
    if isinstance(value, dict):
        for key, item in value.items():
            require_numbers(item, str(key))
    elif isinstance(value, list):
        for item in value:
            require_numbers(item, name)
    elif isinstance(value, (int, float)) and name.startswith("AP"):
        assert 0 <= value <= 1, f"{name} is {value}"


def require_best(run: Path) -> None:
    """Fail unless best.pth is the checkpoint of the best validation, the first of those that are alike."""
    import torch

    best = torch.load(run / "checkpoints/best.pth", weights_only=False)["meta"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metric = best["best"]["metric"]
    found = [(line["step"], line[metric]) for line in lines if metric in line]
    known = [(step, value) for step, value in found if value is not None]
    step, value = max(known, key=lambda one: (one[1], -one[0]))
    assert (best["iter"], round(best["best"]["score"], 6)) == (step, round(value, 6)), f"best.pth is not of {found}"
