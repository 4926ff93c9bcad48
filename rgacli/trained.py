"""What a trained detector is, however it is named: a run, a checkpoint, an export, or an ONNX file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from rgacli import runs
from rgacli.config.files import load_config, what_runs
from rgacli.errors import UsageError
from rgacli.messages import tell
from rgacli.wording import function, param


@dataclass(frozen=True)
class Trained:
    """A trained detector on disk.

    Attributes:
        name: What tables call it: the run's name, or the checkpoint's without its suffix.
        checkpoint: Its weights.
        home: Its own folder: that of its run or its export, or FILE.rgacli.
        cfg: Its config; None of an ONNX file, which needs none.
    """

    name: str
    checkpoint: Path
    home: Path
    cfg: Config | None

    @cached_property
    def place(self) -> Path:
        """Folder that what is made of it goes to: `home`, or another if that may not be written to."""
        return runs.place_for(self.home)


def find_trained(
    run: str | Path | None = None,
    checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    *,
    which: str = "last",
    onnx: bool = False,
    safe: bool = False,
) -> Trained:
    """Return the detector that is named; the latest run's where nothing is.

    What is made of a run goes into the run, what is made of FILE.pth to FILE.rgacli/.

    Args:
        run: A run's name or folder, or a folder that an export wrote.
        checkpoint: Weights in a run's place.
        config: What the checkpoint was trained by: a bundled name, mmdet::… or a file. Not needed for one that lies in
            its run or its export.
        which: Of the run's checkpoints, as `Run.checkpoint` takes it.
        onnx: Whether the checkpoint may be an ONNX file.
        safe: Whether nothing of the config is run, see `load_config`; if it is, and runs anything, that is told.

    Raises:
        UsageError: nothing usable is named, or parameters contradict each other.
    """
    if checkpoint is None:
        if config:
            raise UsageError(f"{param('config')} says what a {param('checkpoint')} was trained by: give that as well.")
        found = runs.find_run(None if run is None else str(run))
        return Trained(found.name, found.checkpoint(which), found.path, _config(str(found.config), safe))
    if run:
        raise UsageError(f"give a {param('run')} or {param('checkpoint')}, not both.")
    if which != "last":
        raise UsageError(
            f"{param('which', which)} is one of a run's checkpoints: leave it out with {param('checkpoint')}."
        )
    path = Path(checkpoint)
    # Its own folder: checkpoints of many models may lie side by side.
    name, home = path.stem, path.with_suffix(".rgacli")
    if is_onnx(path) and onnx:
        if config:
            raise UsageError(f"{path}: an ONNX file takes no {param('config')}.")
        return Trained(name, path, home, None)
    if not path.is_file():
        raise UsageError(f"checkpoint {path} does not exist.")
    if is_onnx(path):
        raise UsageError(
            f"{path}: only {function('predict')} and {function('load')} run an ONNX file, without {param('config')}."
        )
    return Trained(name, path, home, _config(str(config or config_of(path)), safe))


def _config(name: str, safe: bool) -> Config:
    """Return a config that somebody else may have written."""
    if not safe and (what := what_runs(name)):
        tell(
            f"config {name} is Python, and it is run ({what}): be sure of who wrote it; {function('evaluate')} and "
            f"{function('predict')} refuse such by {param('safe', True)}"
        )
    return load_config(name, safe=safe)


def config_of(checkpoint: Path) -> Path:
    """Return the config that a checkpoint lies with: that of its run, or of its export.

    Raises:
        UsageError: there is none.
    """
    # As it is named, from wherever that is, and where a link leads.
    for path in (checkpoint, Path(os.path.abspath(checkpoint)), Path(os.path.realpath(checkpoint))):
        folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
        if (folder / runs.CONFIG).is_file():
            return folder / runs.CONFIG
    raise UsageError(f"checkpoint {checkpoint} lies in no run: name the config that it was trained by, too.")


def is_onnx(path: Path) -> bool:
    """Return whether a file is taken for an ONNX file, by its suffix."""
    return path.suffix.lower() == ".onnx"
