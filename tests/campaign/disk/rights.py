"""Folders that may not be written to, files that may not be read: what can be done is done, the rest is one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.campaign.disk.volume import volume
from tests.campaign.disk.works import WORKS, Work, require_kept, require_whole, snapshot
from tests.campaign.ended import Ended, require_well
from tests.campaign.stage import Stage
from tests.campaign.trial import Trial

_REFUSED = ("no permission for", "may not be written", "cannot be read", "not readable", "Permission denied")


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials."""
    making = [work for work in WORKS if not work.trains]
    for number, work in enumerate(stage.pick(making, making[:3])):
        yield Trial("somebody else's run", work.name, _of(_others_run, stage, work))
        if number % 3 == 0:
            yield Trial("a run on a read-only disk", work.name, _of(_run_on_read_only_disk, stage, work))
    for work in stage.pick(WORKS, WORKS[:2]):
        yield Trial("a read-only working folder", work.name, _of(_read_only_home, stage, work))
    for name in list(_SECRETS)[:: stage.pick(1, 3)]:
        yield Trial("a file or folder that may not be read", name, _of(_secret, stage, name))
    for name, arguments in _CACHED.items():
        for way, spoil in _BAD_CACHES.items():
            yield Trial("a cache that may not be written", f"{name}, {way}", _of(_bad_cache, stage, arguments, spoil))


def _of(function: Callable[..., object], *given: object) -> Callable[[Path], object]:
    return lambda folder: function(folder, *given)


def protect(folder: Path) -> None:
    """Take all rights to write away from a folder and what lies in it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def require_refused(ended: Ended, *names: str) -> None:
    """Fail unless the command says in its line that it may not, and that of something of these names."""
    require_well(ended, 1, 2)
    (line,) = ended.errors
    assert any(words in line for words in _REFUSED), line
    assert not names or any(name in line for name in names), f"none of {names}: {line}"


def _others_run(folder: Path, stage: Stage, work: Work) -> None:
    work.begin(stage, folder)
    protect(folder / "runs/base")
    _require_done_elsewhere(folder, stage, work, folder / "runs/base", work.arguments(stage))


def _run_on_read_only_disk(folder: Path, stage: Stage, work: Work) -> None:
    with volume(folder / "other") as disk:
        run = stage.copy_of_run(disk.path)
        disk.protect()
        given = [str(run) if argument == "base" else argument for argument in work.arguments(stage)]
        _require_done_elsewhere(folder, stage, work, run, given)


def _require_done_elsewhere(folder: Path, stage: Stage, work: Work, run: Path, arguments: Sequence[object]) -> None:
    """Fail unless the command does all that it does of one's own run, and leaves this one as it is."""
    before = snapshot(run)
    require_well(stage.rgacli(*arguments, cwd=folder, unprivileged=True), 0)
    assert snapshot(run) == before
    made = {Path(name).name for name in snapshot(folder).keys() - {f"runs/base/{name}" for name in before}}
    whole = {Path(name).name for name in snapshot(work.whole(stage)) if not name.startswith("runs/base/")}
    whole |= {Path(name).name for name in snapshot(work.whole(stage) / "runs/base").keys() - before.keys()}
    assert whole <= made, f"missing: {sorted(whole - made)[:5]}"
    require_whole(folder)


def _read_only_home(folder: Path, stage: Stage, work: Work) -> None:
    home = folder / "home"
    home.mkdir()
    work.begin(stage, home)
    before = snapshot(home)
    protect(home)
    require_refused(stage.rgacli(*work.arguments(stage), cwd=home, unprivileged=True))
    assert snapshot(home) == before


_RUN, _DATA = "runs/base", "data"
_EVAL = ("eval", "base", "--data", _DATA)
_SECRETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "the checkpoint": (f"{_RUN}/checkpoints/epoch_2.pth", _EVAL),
    "all checkpoints": (f"{_RUN}/checkpoints", _EVAL),
    "the config": (f"{_RUN}/config.py", _EVAL),
    "the run": (_RUN, _EVAL),
    "the log": (f"{_RUN}/metrics.jsonl", ("analyze", "positives", "base")),
    "the annotations": (f"{_DATA}/annotations/test.json", _EVAL),
    "the annotations' folder": (f"{_DATA}/annotations", _EVAL),
    "the dataset": (_DATA, _EVAL),
    "the annotations, looked at": (f"{_DATA}/annotations/train.json", ("analyze", "dataset", _DATA)),
    "an image": (f"{_DATA}/images/test/000002.jpg", _EVAL),
    "the images": (f"{_DATA}/images", _EVAL),
    "an image to check": (f"{_DATA}/images/test/000002.jpg", ("data", "check", _DATA)),
    "an image to convert": (f"{_DATA}/images/test/000002.jpg", ("data", "convert", _DATA, "there", "--to", "yolo")),
    "all images to predict": (f"{_DATA}/images/test", ("predict", f"{_DATA}/images/test", "--run", "base")),
    "an image to train on": (
        f"{_DATA}/images/train/000003.jpg",
        ("train", "quickstart", "--data", _DATA, "--epochs", "1", "--device", "cpu"),
    ),
}
"""What may not be read -> where it lies, and a command that needs it."""


def _secret(folder: Path, stage: Stage, name: str) -> None:
    path, arguments = _SECRETS[name]
    stage.copy_of_run(folder)
    shutil.copytree(stage.dataset, folder / _DATA)
    before = snapshot(folder)
    mode = (folder / path).stat().st_mode
    (folder / path).chmod(0)
    small = stage.training(1)[stage.training(1).index("cpu") + 1 :] if arguments[0] == "train" else ()
    ended = stage.rgacli(*arguments, *small, cwd=folder, unprivileged=True)
    (folder / path).chmod(mode)
    if arguments[:2] != ("data", "check"):  # whose table tells of what it finds
        require_well(ended, 1, 2)
    said = " ".join(ended.errors) or ended.stdout + ended.stderr
    assert ended.code in (1, 2), f"exit code {ended.code}: {said}"
    assert Path(path).name in said, f"does not name {path}: {said}"
    require_kept(before, folder)


_CACHED = {
    "the embedded dataset": ("train", "--epochs", "1", "--device", "cpu"),
    "a converted dataset": ("analyze", "dataset", "yolo", "--out", "figures"),
}
_BAD_CACHES: dict[str, Callable[[Path], object]] = {
    "read-only": lambda path: (path.mkdir(), path.chmod(0o555)),
    "a file": Path.touch,
}


def _bad_cache(folder: Path, stage: Stage, arguments: Sequence[str], spoil: Callable[[Path], object]) -> None:
    yolo = next(work for work in WORKS if "YOLO" in work.name).whole(stage) / "converted"
    shutil.copytree(yolo, folder / "yolo")
    spoil(folder / "cache")
    place = {"RGACLI_CACHE": str(folder / "cache")}
    ended = stage.rgacli(*arguments, cwd=folder, unprivileged=True, environment=place)
    require_well(ended)
    if ended.code:
        assert str(folder / "cache") in ended.errors[0], ended.errors[0]
    assert not (folder / "cache").is_dir() or not os.listdir(folder / "cache")
