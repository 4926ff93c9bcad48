"""The commands that write, and what has to be true of a folder that they have written in, whatever happened."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from rgacli.engine.metrics_log import read_metrics
from rgacli.locks import LOCK
from rgacli.modeling.checkpoints import read_checkpoint
from tests.campaign.ended import require_nothing_half_written
from tests.campaign.stage import Stage


@dataclass(frozen=True)
class Work:
    """A command that writes into its working folder, where the stage's run lies as runs/base.

    Args:
        name: What is written.
        arguments: Of the command.
        trains: Whether it is a training, of a run called "new".
    """

    name: str
    arguments: Callable[[Stage], Sequence[object]]
    trains: bool = False

    def begin(self, stage: Stage, home: Path) -> None:
        """Make ready the working folder."""
        if not self.trains:
            stage.copy_of_run(home)

    def again(self, stage: Stage, home: Path) -> Sequence[object]:
        """Return the arguments by which it goes on; a training that had no config yet begins anew."""
        if self.trains and (home / "runs/new/config.py").is_file():
            return "train", "--resume", "--name", "new", "--device", "cpu"
        return self.arguments(stage)

    def whole(self, stage: Stage) -> Path:
        """Return a folder in which it was done without anything coming between."""

        def do(home: Path) -> None:
            home.mkdir()
            self.begin(stage, home)
            ended = stage.rgacli(*self.arguments(stage), cwd=home)
            assert ended.code == 0, f"{self.name}: {ended.stderr}"

        return stage.made(f"whole-{self.name}", do)


def _of(name: str, *arguments: object) -> Work:
    return Work(name, lambda stage: arguments)


def _on_data(name: str, *arguments: object) -> Work:
    return Work(name, lambda stage: [str(each).replace("DATA", str(stage.dataset)) for each in arguments])


WORKS = (
    Work("a training", lambda stage: [*stage.training(2), "--name", "new"], trains=True),
    _of("detections", "eval", "base", "--head", "all", "--per-class", "--plots", "--show-dir", "shown"),
    _of("a submission", "eval", "base", "--submit", "submission.json", "--json"),
    _of("an ensemble's results", "ensemble", "base", "--timed", 0, "--bootstrap", 4, "--out", "ensembled"),
    _of("figures of positives", "analyze", "positives", "base"),
    _of("figures of bins", "analyze", "gt-bins", "base", "--bootstrap", 4),
    _of("figures of errors", "analyze", "errors", "base"),
    _on_data("figures of a dataset", "analyze", "dataset", "DATA", "--out", "figures"),
    _of("a report", "analyze", "report", "base", "--bootstrap", 4, "--images", 2),
    _on_data("predictions", "predict", "DATA/images/test", "--run", "base", "--out", "found"),
    _of("a stock model", "export", "fold", "base"),
    _of("a head", "export", "head", "base", "--head", "1:9"),
    _of("an ONNX file", "export", "onnx", "base"),
    _of("a drawn dataset", "data", "synth", "drawn", "--train", 6, "--val", 2, "--test", 2, "--size", "64x64"),
    _on_data("a dataset in YOLO's format", "data", "convert", "DATA", "converted", "--to", "yolo"),
    _of("a benchmark's record", "bench", "startup", "--repeats", 1, "--save", "record.json"),
    _on_data("a dataset in COCO's format", "data", "convert", "DATA", "converted", "--to", "coco", "--json"),
)
"""Commands that take seconds."""


def snapshot(home: Path) -> dict[str, str]:
    """Return path -> hash of what lies in a folder, less logs, to which every command adds, and locks, which stay."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and "logs" not in path.parts and path.name != LOCK
    }


def require_kept(before: Mapping[str, str], home: Path) -> None:
    """Fail unless all that a snapshot has is still there, as it was."""
    now = snapshot(home)
    lost = [path for path, content in before.items() if now.get(path) != content]
    assert not lost, f"lost or changed: {', '.join(lost)}"


def require_whole(home: Path) -> None:
    """Fail unless every file in a folder can be read to its end, and none is left half written."""
    require_nothing_half_written(home)
    for path in sorted(home.rglob("*")):
        if reader := _READERS.get(path.suffix):
            try:
                reader(path)
            except Exception as error:
                raise AssertionError(f"{path.relative_to(home)} is cut off: {error}") from error


def _image(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _rows(path: Path) -> None:
    header, *rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert all(len(row) == len(header) for row in rows)


def _page(path: Path) -> None:
    assert path.read_text(encoding="utf-8").rstrip().endswith(("</html>", "</svg>"))


_READERS: Mapping[str, Callable[[Path], object]] = {
    ".pth": read_checkpoint,
    ".json": lambda path: path.read_text() and "logs" not in path.parts and json.loads(path.read_bytes()),
    ".jsonl": read_metrics,
    ".png": _image,
    ".jpg": _image,
    ".csv": _rows,
    ".html": _page,
    ".svg": _page,
    ".py": lambda path: compile(path.read_text(encoding="utf-8"), str(path), "exec"),
}


def require_same(home: Path, whole: Path) -> None:
    """Fail unless a folder has the files of another, and the same numbers in them."""
    here, there = ({name for name in snapshot(each) if not name.startswith(".")} for each in (home, whole))
    assert here == there, f"missing: {sorted(there - here)[:5]}; in excess: {sorted(here - there)[:5]}"
    for name in sorted(there):
        if name.endswith(".pth"):
            ours, theirs = (_weights(each / name) for each in (home, whole))
            assert ours.keys() == theirs.keys(), name
            assert all(torch.equal(ours[key], theirs[key]) for key in ours), f"{name} has other weights"
        elif name.endswith(".csv"):
            ours, theirs = ((each / name).read_text(encoding="utf-8").splitlines() for each in (home, whole))
            other = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
            assert ours == theirs, f"{name} has {len(ours)} lines for {len(theirs)}; other numbers: {other[:2]}"


def _weights(path: Path) -> dict[str, torch.Tensor]:
    content = read_checkpoint(path)
    return content.get("state_dict", content)
