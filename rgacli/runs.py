"""The run directory: all that a training leaves, and where it lies.

runs/<name>/
    config.py            the resolved config, reloadable
    data.json            what the dataset was: its numbers of images and objects, its classes, sums of its files
    metrics.jsonl        one JSON object per logged step
    checkpoints/         epoch_N.pth, iter_N.pth; best.pth: the best by validation; initial.pth: trained weights that it
                         started from
    detections/<split>/  <variant>.json in COCO's results format, and source.json: what they were made from;
                         <split>-tta/ and the like: images looked at in another way
    figures/             curves.png: how the training went; each figure beside the CSV it was drawn from
    figures/<split>/     what was drawn of a split
    logs/                the text logs
    predictions/<time>/  what `rgacli.predict` found and drew
    export/              what `rgacli.export_…` wrote
    .lock                who trains it, while somebody does
    tensorboard/, …      what a tracker wrote, if any

A folder that an export wrote (config.py and model.pth) is read as a run with that one checkpoint.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rgacli.errors import UsageError
from rgacli.locks import LOCK, locked, owner_of
from rgacli.wording import function, param

ROOT = Path("runs")
CONFIG = "config.py"
"""The config's file, in a run and in an export."""
EXPORTED = "model.pth"
"""The weights' file in an export."""
BEST = "best.pth"
"""The checkpoint of the best validation, among a run's."""
_PARTS = (
    CONFIG,
    "data.json",
    "metrics.jsonl",
    "checkpoints",
    "detections",
    "figures",
    "logs",
    "predictions",
    "export",
)
_TRACKERS = ("tensorboard", "wandb", "mlflow", "clearml", "neptune", "dvclive", "aim")


@dataclass(frozen=True)
class Run:
    """One run directory."""

    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return Path(os.path.abspath(self.path)).name  # of "." too

    @property
    def handle(self) -> str:
        """What names it on the command line: its name, or its path where it does not lie under runs/."""
        return self.name if self.path.parent == ROOT else str(self.path)

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / CONFIG

    @property
    def metrics(self) -> Path:
        """What was logged, a JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def lock(self) -> Path:
        """Who trains it, while somebody does: none of its `parts`."""
        return self.path / LOCK

    @property
    def data(self) -> Path:
        """What the dataset was when the training began."""
        return self.path / "data.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation, if one was kept: a file of its own, none of `all_checkpoints`."""
        return self.checkpoints / BEST

    @property
    def initial(self) -> Path:
        """Weights that the training started from, where it did not start from nothing."""
        return self.checkpoints / "initial.pth"

    @property
    def starting_point(self) -> Path:
        """The same of a run that was not to be trained at all."""
        return self.checkpoints / "epoch_0.pth"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.path / "figures"

    @property
    def curves(self) -> Path:
        """The figure of how the training went, drawn at its end."""
        return self.figures / "curves.png"

    def all_checkpoints(self) -> list[Path]:
        """Return the checkpoints of whole epochs, then those of iterations, each in their order."""
        found = {path: re.fullmatch(r"(epoch|iter)_(\d+)", path.stem) for path in self.checkpoints.glob("*.pth")}
        return sorted((path for path in found if found[path]), key=lambda path: (found[path][1], int(found[path][2])))

    def last_checkpoint(self) -> Path:
        """Return the checkpoint written last.

        Raises:
            UsageError: there is none.
        """
        exported = self.path / EXPORTED
        found = self.all_checkpoints() or [exported] * exported.is_file()
        if not found:
            if self.best.is_file():
                raise UsageError(f"run {self.path} has its best checkpoint alone: give {param('which', 'best')}.")
            raise UsageError(
                f"run {self.path} has no checkpoint (looked for {self.checkpoints}/epoch_*.pth): it is still in its "
                "first epoch or ended there, or they were removed. Name another run, or train again."
            )
        highest = {path.stem.partition("_")[0]: path for path in found}  # of the epochs, and of the iterations
        noted = self._noted  # the files' own times are lost in a copy
        name = noted.read_text(encoding="utf-8", errors="replace") if noted.is_file() else ""
        kind = Path(name).stem.partition("_")[0]
        return highest.get(kind) or max(highest.values(), key=lambda path: path.stat().st_mtime_ns)

    def checkpoint(self, which: str = "last") -> Path:
        """Return the checkpoint that is meant by "last", "best", an epoch ("12") or a file's stem ("iter_500").

        Raises:
            UsageError: there is none such; says which there are.
        """
        if which == "last":
            return self.last_checkpoint()
        found = {path.stem: path for path in [self.best] * self.best.is_file() + self.all_checkpoints()}
        for stem in (which, f"epoch_{which}"):
            if stem in found:
                return found[stem]
        self.last_checkpoint()  # says so where there is none at all
        there = ["last", *(stem.removeprefix("epoch_") for stem in found)]
        raise UsageError(f"{param('which', which)}: run {self.path} has no such checkpoint, but {', '.join(there)}.")

    def several_checkpoints(self, which: str) -> list[Path]:
        """Return the checkpoints that are meant by "all", or by some of `checkpoint`'s names: "initial,4,best,last".

        "all" are what the training started from, if it was kept, and its epochs or iterations; "initial" is the first.

        Raises:
            UsageError: there is none such; says which there are.
        """
        if which == "all":
            return [self.initial] * self.initial.is_file() + (self.all_checkpoints() or [self.last_checkpoint()])
        parts = [part.strip() for part in which.split(",")]
        own = {"initial": self.initial} if self.initial.is_file() else {}
        return list(dict.fromkeys(own.get(part) or self.checkpoint(part) for part in parts))

    @property
    def is_unsaved(self) -> bool:
        """Whether a training has begun in it and left nothing to go on from: it was ended before its first checkpoint.

        One whose checkpoints were removed since has the note of its last, and the curves that a training ends with.
        """
        remains = (self.path / EXPORTED, self._noted, self.curves)
        return not (self.all_checkpoints() or any(path.exists() for path in remains))

    @property
    def _noted(self) -> Path:
        """Where mmengine notes the last checkpoint."""
        return self.path / "logs/last_checkpoint"

    @property
    def is_export(self) -> bool:
        """Whether it is what an export wrote, and no run."""
        return (self.path / EXPORTED).is_file() and not self.checkpoints.exists()

    def parts(self) -> list[Path]:
        """Return what lies in it that a run leaves: whatever else does is the user's."""
        return [path for part in (*_PARTS, *_TRACKERS) if os.path.lexists(path := self.path / part)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for the length of a training, which other processes then know of (`is_held`).

        Raises:
            UsageError: another process holds it.
        """
        with locked(self.lock, f"run {self.path} is being trained by"):
            yield

    def holder(self) -> str:
        """Return who trains it now, as far as the file system tells: "process 12 on host"; "" if nobody does."""
        return owner_of(self.lock)

    def is_held(self) -> bool:
        """Return whether a process trains it now, as far as the file system tells."""
        return bool(self.holder())


def default_name(config: str) -> str:
    """Return the name of a run where none is given: its config's, and the time."""
    return f"{Path(config).stem}_{datetime.now():%Y%m%d-%H%M%S}"


@contextmanager
def new_run(name: str = "", work_dir: Path | None = None) -> Iterator[Run]:
    """Yield a new run directory, runs/NAME or `work_dir`, held (`Run.held`) by this process.

    On an error it is removed if nothing was logged or saved in it.

    Raises:
        UsageError: the name is taken or is not a plain name, or there is a run in `work_dir`, or parts of one.
    """
    if not work_dir:
        _require_plain(name)
    run = named(name, work_dir)
    found = run.path.is_dir()
    # A training that is killed before its config is written leaves a folder in which nothing is to be seen.
    is_free = found and (work_dir or not any(run.path.glob("[!.]*")))
    if run.parts() or (os.path.lexists(run.path) and not is_free):
        raise _is_taken(run, work_dir)
    try:
        run.path.mkdir(parents=True, exist_ok=found)
    except FileExistsError:  # by another process that began one of this name in the same moment
        raise _is_taken(run, work_dir) from None
    with run.held():
        try:
            yield run
        except BaseException:  # Ctrl-C as well
            if not (run.metrics.is_file() or run.all_checkpoints()):
                with suppress(OSError):
                    for path in [*run.parts(), run.lock] if found else [run.path]:
                        delete(path)
                    ROOT.rmdir()  # unless other runs lie there
            raise


def _is_taken(run: Run, work_dir: Path | None) -> UsageError:
    what = f"{run.parts()[0]} exists" if work_dir and run.parts() else f"run {run.path} exists"
    which = param("work_dir" if work_dir else "name")
    return UsageError(f"{what}: choose another {which}, or go on with it by {param('resume', True)}.")


_LONGEST = 200
"""Bytes of a name: file systems take 255, and some files are called after their run."""


def _require_plain(name: str) -> None:
    if not re.fullmatch(r"[\w.+-]+", name) or name[0] in ".-":
        raise UsageError(
            f"{param('name', repr(name))} is not a plain name: use letters, digits, '-', '_', '.' or '+', and begin "
            "with none of '-' and '.'."
        )
    if len(os.fsencode(name)) > _LONGEST:
        raise UsageError(f"{param('name', f'{name[:20]}…')} is too long: {_LONGEST} bytes are the most.")


def place_for(home: Path) -> Path:
    """Return where what is made of a run or a checkpoint goes: to `home`, its own folder, if that may be written to.

    Else, as with the run of somebody else, to a folder that is called by its whole path, in the working folder.
    """
    there = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    if os.access(there, os.W_OK):
        return home
    return Path("-".join(home.resolve().parts[1:]).removesuffix(".rgacli") + ".rgacli")


def named(name: str, work_dir: Path | None = None) -> Run:
    """Return the run runs/NAME or in `work_dir`, whether it is there or not."""
    return Run(work_dir or ROOT / name)


def delete(path: Path) -> None:
    """Delete a file, a folder with all that lies in it, or a link, whose target stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def find_run(name: str | None, work_dir: Path | None = None) -> Run:
    """Return a run by its name under runs/ or by its path, or the one in `work_dir`; the latest without either.

    Raises:
        UsageError: there is no such run, or none at all.
    """
    if work_dir:
        if not (work_dir / CONFIG).is_file():
            raise UsageError(f"{param('work_dir', work_dir)}: no run lies there ({work_dir / CONFIG} does not exist).")
        return Run(work_dir)
    if name is None:
        return latest_run()
    for path in (Path(name), ROOT / name):
        if name and (path / CONFIG).is_file():
            return Run(path)
    if Path(name).suffix == ".pth":
        raise UsageError(f"'{name}' is no run: a checkpoint is given by {param('checkpoint', name)}.")
    known = ", ".join(run.name for run in all_runs()[-5:]) or "none"
    raise UsageError(f"no run '{name}': neither {name}/{CONFIG} nor {ROOT / name}/{CONFIG} exists (latest: {known}).")


def latest_run() -> Run:
    """Return the run begun last.

    Raises:
        UsageError: there is none.
    """
    runs = all_runs()
    if not runs:
        raise UsageError(f"no run in {ROOT.resolve()}: train one first ({function('train')}), or name its directory.")
    return runs[-1]


def all_runs() -> list[Run]:
    """Return all runs, the one begun last at the end."""
    found = filter(Path.is_file, ROOT.glob(f"[!.]*/{CONFIG}"))  # hidden is what a killed export was about to write
    configs = sorted(found, key=lambda path: path.stat().st_mtime_ns)
    return [Run(path.parent) for path in configs]
