"""What is taken away from under a command: its run, its dataset, its working folder, or a folder by a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.campaign.disk.works import require_whole, snapshot
from tests.campaign.ended import Ended, require_well
from tests.campaign.forked import ROOT
from tests.campaign.stage import Stage
from tests.campaign.trial import Trial
from tests.cli.commands import TINY


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials."""
    for moment, pattern in list(_MOMENTS.items())[:: stage.pick(1, 2)]:
        yield Trial("a run removed while it trains", moment, _of(_run_gone, stage, pattern))
    for part in stage.pick(("images/train", "images", ""), ("",)):
        yield Trial("a dataset removed while a run trains", part or "all of it", _of(_dataset_gone, stage, part))
        yield Trial("a dataset removed before a resume", part or "all of it", _of(_dataset_gone_since, stage, part))
    for words in stage.pick(_ANYWHERE, _ANYWHERE[:1]):
        yield Trial("a working folder that is gone", " ".join(words), _of(_home_gone, words))
    for path, arguments in _REPLACED[:: stage.pick(1, 3)]:
        yield Trial("a file in a folder's place", f"{path}, {arguments[0]}", _of(_replaced, stage, path, arguments))


def _of(function: Callable[..., object], *given: object) -> Callable[[Path], object]:
    return lambda folder: function(folder, *given)


_MOMENTS = {
    "at its config": "runs/new/config.py",
    "at its first step": "runs/new/metrics.jsonl",
    "after its first checkpoint": "runs/new/checkpoints/epoch_1.pth",
    "at its best checkpoint": "runs/new/checkpoints/best.pth",
    "in its second epoch": "runs/new/checkpoints/epoch_2.pth",
}


def _when(folder: Path, pattern: str, do: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a file is there that matches."""

    def wait() -> None:
        until = time.monotonic() + 100
        while time.monotonic() < until:
            if any(folder.glob(pattern)):
                do()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def _remove(path: Path) -> None:
    """Remove a folder though somebody writes into it: by another name first."""
    away = path.with_name(f"{path.name}-away")
    path.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def _run_gone(folder: Path, stage: Stage, pattern: str) -> None:
    waiting = _when(folder, pattern, lambda: _remove(folder / "runs/new"))
    each = ("--set", "train_cfg.val_interval=1")
    ended = stage.rgacli(*stage.training(20), *each, "--name", "new", cwd=folder)
    waiting.join()
    require_well(ended, 1, 2)
    assert "runs/new" in ended.errors[0], ended.errors[0]
    left = [path for path in (folder / "runs").rglob("*") if path.is_file() and "logs" not in path.parts]
    assert not left, f"a run of parts is left: {left}"


def _dataset_gone(folder: Path, stage: Stage, part: str) -> None:
    data = Path(shutil.copytree(stage.dataset, folder / "data"))
    waiting = _when(folder, "runs/new/metrics.jsonl", lambda: _remove(data / part if part else data))
    ended = stage.rgacli(*_training(data), "--name", "new", cwd=folder)
    waiting.join()
    _require_names_data(ended)
    require_whole(folder)


def _dataset_gone_since(folder: Path, stage: Stage, part: str) -> None:
    data = Path(shutil.copytree(stage.dataset, folder / "data"))
    ended = stage.rgacli(*_training(data, epochs=2), "--name", "new", cwd=folder)
    require_well(ended, 0)
    unfinish(folder / "runs/new")
    before = snapshot(folder / "runs/new/checkpoints")
    _remove(data / part if part else data)
    _require_names_data(stage.rgacli("train", "--resume", "--name", "new", "--device", "cpu", cwd=folder))
    assert snapshot(folder / "runs/new/checkpoints") == before


def unfinish(run: Path) -> None:
    """Take the last of two epochs away from a run, to be trained again."""
    (run / "checkpoints/epoch_2.pth").unlink()
    (run / "logs/last_checkpoint").unlink()


def _training(data: Path, epochs: int = 40) -> Sequence[object]:
    return "train", "quickstart", "--data", data, "--epochs", epochs, "--device", "cpu", *TINY


def _require_names_data(ended: Ended) -> None:
    require_well(ended, 1, 2)
    assert "/data" in ended.errors[0], ended.errors[0]


_ANYWHERE = (("configs",), ("runs", "list"), ("train", "quickstart", "--epochs", "1"), ("eval",))


def _home_gone(folder: Path, words: Sequence[str]) -> None:
    home = folder / "home"
    home.mkdir()
    script = 'rmdir "$PWD"; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "rgacli", *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RGACLI_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=200,
    )
    require_well(Ended(tuple(words), done.returncode, done.stdout, done.stderr, 0.0))


_BASE = "runs/base"
_REPLACED = (
    ("runs", ("train", "--name", "new")),
    ("runs/new", ("train", "--name", "new")),
    (f"{_BASE}/detections", ("eval", "base")),
    (f"{_BASE}/detections/test", ("eval", "base")),
    (f"{_BASE}/logs", ("eval", "base")),
    (f"{_BASE}/checkpoints", ("eval", "base")),
    (f"{_BASE}/config.py/", ("eval", "base")),
    (f"{_BASE}/figures", ("analyze", "positives", "base")),
    (f"{_BASE}/metrics.jsonl/", ("analyze", "positives", "base")),
    (f"{_BASE}/export", ("export", "fold", "base")),
    (f"{_BASE}/export", ("export", "onnx", "base")),
    (f"{_BASE}/predictions", ("predict", "DATA/images/test", "--run", "base")),
    (f"{_BASE}/checkpoints/epoch_2.pth/", ("eval", "base")),
    ("there", ("data", "synth", "there")),
    ("there", ("data", "convert", "DATA", "there", "--to", "yolo")),
    ("there", ("ensemble", "base", "--timed", "0", "--bootstrap", "4", "--out", "there")),
)
"""What a file stands in the place of (or, with a slash at the end, a folder) for which command."""


def _replaced(folder: Path, stage: Stage, path: str, arguments: Sequence[str]) -> None:
    if path != "runs":
        stage.copy_of_run(folder)
    place = folder / path
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir() if path.endswith("/") else place.touch()
    before = snapshot(folder)
    given = [word.replace("DATA", str(stage.dataset)) for word in arguments]
    if given[0] == "train":
        given = [*stage.training(1), *given[1:]]
    ended = require_well(stage.rgacli(*given, cwd=folder), 1, 2)
    said = " ".join(ended.errors) or ended.stderr  # a path that is an option's, typer tells of
    assert place.name in said, f"does not name {path}: {said}"
    assert snapshot(folder) == before
