"""Configs: a real one of which a key that is read is lost or odd, and files that are no config."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

from tests.campaign.inputs.case import MARKER, Case
from tests.campaign.inputs.materials import Materials

SOURCES = (
    "quickstart",
    "faster-rcnn_r50_fpn_rga-prm",
    "cascade-rcnn_r18-lite_fpn_rga-prm",
    "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
)
# As SMALL of `tests.cli.commands`, for any of the sources: a step is to take milliseconds.
_SMALL = {
    "model.backbone.init_cfg": None,
    "model.backbone.frozen_stages": -1,
    "model.neck.out_channels": 16,
    "model.rpn_head.in_channels": 16,
    "model.rpn_head.feat_channels": 16,
    "model.roi_head.bbox_roi_extractor.out_channels": 16,
}
VALUES: dict[str, Any] = {
    "null": None,
    "a text": "x",
    "no text": "",
    "minus one": -1,
    "zero": 0,
    "an empty list": [],
    "an empty object": {},
    "1e30": 1e30,
    "NaN": float("nan"),
    "true": True,
    "a list": [1, "x"],
    "another type": {"type": "NoSuchThing"},
}


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    if random.random() < 0.15:
        return _no_config(materials, random, folder)
    source = random.choice(SOURCES)
    config = copy.deepcopy(small(source))
    places = [place for place in _places(config) if place[-1] not in _FREE]
    depth = random.choice((1, 2, 2, 3, 3, 4, 5, 6))
    place = random.choice([each for each in places if len(each) == depth] or places)
    owner = config
    for part in place[:-1]:
        owner = owner[part]
    name = random.choice(["lost", *VALUES])
    if name == "lost":
        del owner[place[-1]]
    else:
        owner[place[-1]] = copy.deepcopy(VALUES[name])
    file = folder / "mine.py"
    file.write_text("".join(f"{key} = {value!r}\n" for key, value in config.items()).replace("= nan", "= float('nan')"))
    what = f"{source}: {'.'.join(map(str, place))}: {name}"
    return Case(what, _command(materials, random, file))


def _command(materials: Materials, random: Random, file: Path) -> tuple[object, ...]:
    train = ("train", file, "--data", materials.dataset, "--epochs", 1, "--device", "cpu", "--batch-size", 4)
    checkpoint = max((materials.run / "checkpoints").glob("epoch_*.pth"))
    return random.choices(
        [
            train,
            ("eval", "--checkpoint", checkpoint, "--config", file, "--device", "cpu"),
            ("data", "check", materials.dataset, "--config", file),
            ("configs", file),
        ],
        (7, 2, 1, 1),
    )[0]


# Free text, and what nobody reads.
_FREE = ("_scope_", "trained_from", "experiment_name", "file_client_args", "backend_args")


_ONE_AT_A_TIME = Lock()  # mmengine reloads a module as it reads a config


def small(source: str) -> dict[str, Any]:
    """Return a config as plain values, shrunk. Not to be changed."""
    with _ONE_AT_A_TIME:
        return _small(source)


@cache
def _small(source: str) -> dict[str, Any]:
    import rgacli.core  # noqa: F401  (registers the parts that a config names)
    from rgacli.config.files import load_config

    config = load_config(source).to_dict()
    config.pop("trained_from", None)
    for key, value in _SMALL.items():
        *path, last = key.split(".")
        owner = config
        for part in path:
            owner = owner[part]
        owner[last] = value
    backbone = config["model"]["backbone"]  # with 8 channels, the cascade crashed in torch (assets/campaign/found.yaml)
    if backbone.get("depth") == 18:
        backbone["base_channels"], config["model"]["neck"]["in_channels"] = 16, [16, 32, 64, 128]
    else:
        backbone["base_channels"], config["model"]["neck"]["in_channels"] = 16, [64, 128, 256, 512]
    roi_head = config["model"]["roi_head"]
    heads = roi_head["bbox_head"]
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(in_channels=16, fc_out_channels=16)
    for split in ("train", "val", "test"):
        loader = config[f"{split}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False)
    config["default_hooks"]["logger"]["interval"] = 1
    return config


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of all that lies in a config."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*place, key)
        yield from _places(inner, (*place, key))


def _no_config(materials: Materials, random: Random, folder: Path) -> Case:
    texts: dict[str, tuple[str, bytes]] = {
        "empty": ("mine.py", b""),
        "not Python": ("mine.py", b"model = dict(\n"),
        "chance bytes": ("mine.py", random.randbytes(500)),
        "NULs": ("mine.py", bytes(100)),
        "a model of null": ("mine.py", b"model = None\n"),
        "a model of a text": ("mine.py", b"model = 'faster rcnn'\n"),
        "a model of a list": ("mine.py", b"model = [dict(type='FasterRCNN')]\n"),
        "a model without type": ("mine.py", b"model = dict(roi_head=dict())\n"),
        "a base that is not there": ("mine.py", b"_base_ = 'nosuch.py'\n"),
        "a base of itself": ("mine.py", b"_base_ = 'mine.py'\n"),
        "a base of a number": ("mine.py", b"_base_ = 3\n"),
        "an end": ("mine.py", b"import sys\nsys.exit(3)\nmodel = dict()\n"),
        "an error": ("mine.py", b"raise RuntimeError('of its own')\n"),
        "an interrupt": ("mine.py", b"raise KeyboardInterrupt\n"),
        "recursion without end": ("mine.py", b"def f():\n    f()\nf()\n"),
        "an import that is not there": ("mine.py", b"import nosuch\nmodel = dict()\n"),
        "a text for JSON": ("mine.json", b"model = dict()"),
        "a list for JSON": ("mine.json", b"[1, 2]"),
        "JSON cut short": ("mine.json", b'{"model": {"type": '),
        "a text for YAML": ("mine.yaml", b"model"),
        "YAML that makes objects": (
            "mine.yaml",
            f"model: !!python/object/apply:os.system ['touch {folder / MARKER}']\n".encode(),
        ),
        "Latin-1": ("mine.py", b"# caf\xe9\nmodel = dict()\n"),
        "nested without end": ("mine.py", b"model = " + b"[" * 5000 + b"]" * 5000),
    }
    what = random.choice(list(texts))
    name, content = texts[what]
    (folder / name).write_bytes(content)
    command = _command(materials, random, folder / name)
    return Case(f"a config: {what}", command, wrong=True)
