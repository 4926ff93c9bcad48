"""Runs on disk: listing, showing, removing and pruning them. None of it takes torch or mmengine."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.checksums import spoilt_member
from rgacli.config.run_record import RunRecord, best, read_config, read_log, read_record, size_of
from rgacli.errors import UsageError
from rgacli.runs import Run, all_runs, delete, find_run


@dataclass(frozen=True)
class RunDetails:
    """All that is known of a run.

    Attributes:
        record: What the list of runs has.
        schedule: What -> its value, of how it is trained: epochs, images per step, optimizer, learning rate, ….
        checkpoints: Path -> bytes: what it started from, epochs and iterations, and the best that was kept.
        last_checkpoint: The one to resume from, which commands take.
        best_checkpoint: Of those that are there, the one best in validation.
        contents: Of what else the run left: path -> bytes.
    """

    record: RunRecord
    schedule: Mapping[str, Any]
    checkpoints: Mapping[str, int]
    last_checkpoint: Path | None
    best_checkpoint: Path | None
    contents: Mapping[str, int]


@dataclass(frozen=True)
class Removal:
    """What is removed of a run, or would be.

    Attributes:
        name: What names it in commands.
        path: Its directory.
        removed: Files and folders.
        freed: Their bytes.
        notes: What stays and why.
    """

    name: str
    path: Path
    removed: tuple[Path, ...]
    freed: int
    notes: tuple[str, ...] = ()


def list_runs() -> tuple[RunRecord, ...]:
    """Return what the files of each run under runs/ tell of it, the run begun last at the end.

    Damaged runs are among them, and say so (`problems`); folders that an export wrote are not.
    """
    return tuple(read_record(run) for run in all_runs() if not run.is_export)


def show_run(run: str | Path | None = None) -> RunDetails:
    """Return all that is known of a run without loading it.

    Args:
        run: A run's name or folder; the latest without.

    Raises:
        UsageError: there is no such run.
    """
    found = _find(run)
    return RunDetails(
        record=read_record(found),
        schedule=_schedule(read_config(found)[0]),
        checkpoints={str(path): size_of(path) for path in _checkpoint_files(found)},
        last_checkpoint=found.last_checkpoint() if found.all_checkpoints() else None,
        best_checkpoint=_best_checkpoint(found),
        contents={str(path): size_of(path) for path in found.parts() if path != found.checkpoints},
    )


def remove_runs(run: str | Path | Sequence[str | Path], *, dry_run: bool = False) -> tuple[Removal, ...]:
    """Remove runs with all that they have left: checkpoints, logs, detections, figures, predictions and exports.

    Of a directory that holds other files as well, those stay; of a link, what it points to.

    Args:
        run: A run's name or folder, or several.
        dry_run: Remove nothing, and return what would be.

    Raises:
        UsageError: one of them is no run, or is being trained; then none is removed.
    """
    found = _named(run)
    for one in found:
        _require_own(one)
        _require_free(one)
    removals = tuple(map(_whole, found))
    for removal in () if dry_run else removals:
        for path in removal.removed:
            delete(path)
        if removal.path.is_dir() and not os.listdir(removal.path):
            os.rmdir(os.path.abspath(removal.path))  # "." has no other name to remove it by
    return removals


def prune_runs(run: str | Path | Sequence[str | Path] | None = None, *, dry_run: bool = False) -> tuple[Removal, ...]:
    """Remove the checkpoints of runs but for the last, from which a run resumes, and the best in validation.

    The weights that a training started from go as well, once it has a checkpoint of its own.

    Args:
        run: A run's name or folder, or several; all under runs/ without, less those that are being trained.
        dry_run: Remove nothing, and return what would be.

    Raises:
        UsageError: one that is named is no run or is being trained, or its last checkpoint is damaged.
    """
    named = _named(run or ())
    found = named or [each for each in all_runs() if not each.is_export]
    removals = []
    for one in {one.path.resolve(): one for one in found}.values():  # a link and its target are one
        try:
            _require_free(one)
            removals.append(_superfluous(one))
        except UsageError as error:
            if named:
                raise
            removals.append(Removal(one.handle, one.path, (), 0, (str(error),)))
    for removal in () if dry_run else removals:
        for path in removal.removed:
            delete(path)
    return tuple(removals)


def _named(run: str | Path | Sequence[str | Path]) -> list[Run]:
    """Return the runs that are named, each once."""
    names = [run] if isinstance(run, (str, Path)) else run
    return list({os.path.abspath(one.path): one for one in map(_find, names)}.values())


def _find(name: str | Path | None) -> Run:
    run = find_run(None if name is None else str(name))
    if run.is_export:
        raise UsageError(f"{run.path} is what an export wrote, and no run.")
    return run


def _require_free(run: Run) -> None:
    if holder := run.holder():
        raise UsageError(f"run {run.path} is being trained by {holder}: stop it first.")


def _require_own(run: Run) -> None:
    """Raise a UsageError unless the directory is one that a training made: others have a config.py as well."""
    listed = os.path.abspath(run.path) in {os.path.abspath(one.path) for one in all_runs()}
    if not listed and b"rgacli" not in run.config.read_bytes():
        raise UsageError(f"{run.path} does not look like a run ({run.config} is not what a training wrote).")


def _whole(run: Run) -> Removal:
    if run.path.is_symlink():
        return Removal(run.handle, run.path, (run.path,), 0, (f"is a link; {run.path.resolve()} stays",))
    parts = run.parts()[::-1]  # the config last: what is left of a removal that was stopped is a run still
    notes = [f"{part} is a link; {part.resolve()} stays" for part in parts if part.is_symlink()]
    if others := sorted({path.name for path in run.path.iterdir()} - {path.name for path in (*parts, run.lock)}):
        notes.append(f"{run.path} stays, with what is no part of a run: {', '.join(others)}")
    removed = (*[run.lock] * run.lock.is_file(), *parts)
    return Removal(run.handle, run.path, removed, sum(map(size_of, parts)), tuple(notes))


def _superfluous(run: Run) -> Removal:
    if not run.all_checkpoints():
        return Removal(run.handle, run.path, (), 0)
    last = run.last_checkpoint()
    if not _is_whole(last):
        raise UsageError(f"{last} is damaged: the checkpoints before it are kept.")
    kept = (last, _best_checkpoint(run))
    surplus = tuple(path for path in _checkpoint_files(run) if path not in (*kept, run.best))
    return Removal(run.handle, run.path, surplus, sum(map(size_of, surplus)))


def _checkpoint_files(run: Run) -> list[Path]:
    initial, best_kept = ([path] if path.is_file() else [] for path in (run.initial, run.best))
    return [*initial, *run.all_checkpoints(), *best_kept]


def _best_checkpoint(run: Run) -> Path | None:
    """Return, of a run's checkpoints, the one best in validation; None where none was validated."""
    if run.best.is_file() and _is_whole(run.best):
        return run.best
    present = {path.stem: path for path in run.all_checkpoints()}
    found = best(one for one in read_log(run)[1] if one.checkpoint in present)
    return present[found.checkpoint] if found else None


def _is_whole(checkpoint: Path) -> bool:
    """Return whether a checkpoint, which torch writes as a zip file, is what was written."""
    try:
        return zipfile.is_zipfile(checkpoint) and not spoilt_member(checkpoint)
    except zipfile.BadZipFile:
        return False


def _schedule(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a config has a detector trained."""
    train, wrapper = config.get("train_cfg") or {}, config.get("optim_wrapper") or {}
    optimizer = wrapper.get("optimizer") or {}
    found = {
        "epochs": train.get("max_epochs"),
        "iterations": train.get("max_iters"),
        "validated every": train.get("val_interval"),
        "batch size": (config.get("train_dataloader") or {}).get("batch_size"),
        "processes": config.get("processes"),
        "accumulate": wrapper.get("accumulative_counts"),
        "optimizer": optimizer.get("type"),
        "learning rate": optimizer.get("lr"),
        "clip": (wrapper.get("clip_grad") or {}).get("max_norm"),
        "precision": wrapper.get("dtype"),
        "seed": (config.get("randomness") or {}).get("seed"),
        "weights": config.get("weights") or config.get("load_from"),
    }
    return {what: value for what, value in found.items() if value is not None}
