"""What a run's files tell of it, read without mmengine: its config as literals, its log, and the names of checkpoints.

Of a damaged run as much is told as can be read.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rgacli.config.literals import method_of, read_literals
from rgacli.data.splits import SPLITS
from rgacli.files import parse_json
from rgacli.method import ENSEMBLE, unslug
from rgacli.runs import Run

_LOWER_IS_BETTER = ("mMR",)
_OF_BIN = "AP_"
State = Literal["running", "finished", "stopped", "interrupted"]


@dataclass(frozen=True)
class Validation:
    """What a run's detector was worth on the validation split.

    Attributes:
        epoch: After which it was measured; None in a training by iterations.
        iteration: The same.
        heads: Head ("1:9", "ensemble", …) -> metric -> value in [0, 1]; None where unknown.
        bins: Head -> bin of the number of objects in an image ("1-3") -> AP on its images; None where there are none.
        metric: What detectors are ranked by: "AP", or "mMR" on CrowdHuman, where less is better.
        score: Its value, of the ensemble or of the only head.
    """

    epoch: int | None
    iteration: int
    heads: Mapping[str, Mapping[str, float | None]]
    bins: Mapping[str, Mapping[str, float | None]]
    metric: str
    score: float | None

    @property
    def checkpoint(self) -> str:
        """The name of the checkpoint that was measured, without its suffix."""
        return f"epoch_{self.epoch}" if self.epoch else f"iter_{self.iteration}"


@dataclass(frozen=True)
class RunRecord:
    """A run, in short. What its files do not tell is None.

    Attributes:
        name: What names it in commands: its name under runs/, else its path.
        path: Its directory.
        config: What it was trained from.
        data: Folder that all its annotations and images lie in; of a dataset that was converted, the dataset.
        lambda0, anneal: Of RGA; None without RGA.
        ratios, sampling: Of PRM; no ratio without PRM.
        epoch, epochs: The one logged last, and how many are to be trained; None in a training by iterations.
        iteration, iterations: The one logged last; how many are to be trained, in a training by iterations.
        last, best: Validations.
        size: Bytes on disk.
        begun: When the training was.
        state: "running" while a process trains it; "finished" once the last epoch has its checkpoint; "stopped" early,
            as validation no longer improved (`patience`); else "interrupted".
        problems: What cannot be read of it.
    """

    name: str
    path: Path
    config: str | None
    data: Path | None
    lambda0: float | None
    anneal: str | None
    ratios: tuple[str, ...]
    sampling: str | None
    epoch: int | None
    epochs: int | None
    iteration: int | None
    iterations: int | None
    last: Validation | None
    best: Validation | None
    size: int
    begun: datetime
    state: State | None
    problems: tuple[str, ...]


def read_record(run: Run) -> RunRecord:
    """Return what a run's files tell of it."""
    config, problems = read_config(run)
    last_step, validations, damaged = read_log(run)
    method, schedule = method_of(config), config.get("train_cfg") or {}
    totals = {"epoch": schedule.get("max_epochs"), "iter": schedule.get("max_iters")}
    return RunRecord(
        name=run.handle,
        path=run.path,
        config=config.get("trained_from") or _config_in(run.name),
        data=_data_folder(config),
        lambda0=method.lambda0,
        anneal=method.anneal,
        ratios=method.ratios,
        sampling=method.sampling if method.ratios else None,
        epoch=last_step.get("epoch"),
        epochs=totals["epoch"],
        iteration=last_step.get("step"),
        iterations=totals["iter"],
        last=validations[-1] if validations else None,
        best=best(validations),
        size=sum(size_of(path) for path in run.parts()),
        begun=datetime.fromtimestamp(run.config.stat().st_mtime).astimezone(),
        state=_state(run, config, totals, validations),
        problems=(*problems, *damaged),
    )


def read_config(run: Run) -> tuple[dict[str, Any], list[str]]:
    """Return a run's config, as `read_literals`, and what is wrong with it; an empty one where it cannot be read."""
    try:
        config = read_literals(run.config)
    except SyntaxError as error:
        return {}, [f"{run.config.name} is damaged at line {error.lineno}"]
    except (OSError, ValueError) as error:
        return {}, [f"{run.config.name} cannot be read: {error}"]
    if missing := [key for key in ("model", "train_cfg", "work_dir") if not config.get(key)]:
        return {}, [f"{run.config.name} is not whole: it has no {missing[0]}"]
    return config, []


def read_log(run: Run) -> tuple[dict[str, Any], list[Validation], list[str]]:
    """Return the last training step that was logged, all validations, and what is wrong with the log.

    Steps of training are many: of each no more is looked at than is needed.
    """
    path = run.metrics
    if not path.exists():
        return {}, [], []
    if not path.is_file():  # a FIFO might never end
        return {}, [], [f"{path.name} is no file"]
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        return {}, [], [f"{path.name} cannot be read: {error.strerror}"]
    step, validations, damaged = b"{}", [], []
    for number, line in enumerate(lines, start=1):
        if not (line.startswith(b"{") and line.endswith(b"}")):
            damaged.append(number)
        elif b'"loss": ' in line:
            step = line
        elif b"/" in line:  # of gradients there are lines, too
            validations.append((_decoded(line), _decoded(step)))
    problems = [f"{path.name} is damaged at line {number}" for number in damaged[:1]]
    problems += [f"{path.name} is empty"] * (not lines)
    return _decoded(step), [validation_of(*pair) for pair in validations if pair[0]], problems


def best(validations: Iterable[Validation]) -> Validation | None:
    """Return the best of a run's validations, of equals the first; None where none has a score."""
    scored = [one for one in validations if one.score is not None]
    return max(scored, key=lambda one: worth(one.score, one.metric), default=None)


def worth(value: float, metric: str) -> float:
    """Return a metric's value, or its negative where less is better: what is to be high."""
    return -value if metric in _LOWER_IS_BETTER else value


def size_of(path: Path) -> int:
    """Return the bytes in a file, or in all files below a folder; links are not followed."""
    try:
        if path.is_dir() and not path.is_symlink():
            with os.scandir(path) as entries:
                return sum(size_of(Path(entry)) for entry in entries)
        return path.lstat().st_size
    except OSError:  # a training goes on, and has just removed it; or it is not ours to read
        return 0


def _decoded(line: bytes) -> dict[str, Any]:
    """Return the numbers in a line's JSON object, which are all that is logged; none where it is damaged."""
    try:
        values = parse_json(line)
    except ValueError:
        return {}
    return {key: value for key, value in values.items() if is_logged(value)}


def is_logged(value: Any) -> bool:
    """Return whether it is a value that trainings log: a finite number, or None for one that is not."""
    return value is None or (isinstance(value, (int, float)) and abs(value) <= sys.float_info.max)


def validation_of(values: Mapping[str, Any], step: Mapping[str, Any]) -> Validation:
    """Return what a line of the log tells: {"coco/1to9/AP": 0.3, …}, after a training step."""
    found: dict[str, dict[str, float | None]] = {}
    for key, value in values.items():
        names = key.split("/")
        if len(names) == 3:
            found.setdefault(unslug(names[1]), {})[names[2]] = value
    found = dict(sorted(found.items(), key=lambda head: (head[0] == ENSEMBLE, head[0])))
    heads = {head: {key: own[key] for key in own if not key.startswith(_OF_BIN)} for head, own in found.items()}
    bins = {head: {_bin(key): own[key] for key in own if key.startswith(_OF_BIN)} for head, own in found.items()}
    scores = heads.get(ENSEMBLE) or next(iter(heads.values()), {})
    metric = next((name for name in _LOWER_IS_BETTER if name in scores), "AP")
    return Validation(step.get("epoch"), values.get("step", 0), heads, bins, metric, scores.get(metric))


def _bin(metric: str) -> str:
    """Return "8+" of "AP_8plus", as `GTBin.metric` has it."""
    return metric.removeprefix(_OF_BIN).replace("plus", "+")


def _state(
    run: Run, config: Mapping[str, Any], totals: Mapping[str, int | None], validations: Sequence[Validation]
) -> State | None:
    if run.is_held():
        return "running"
    for path in run.all_checkpoints():
        kind, number = path.stem.split("_")
        if totals[kind] is not None and int(number) >= totals[kind]:
            return "finished"
    if _out_of_patience(config, validations):
        return "stopped"
    return "interrupted" if any(totals.values()) else None


def _out_of_patience(config: Mapping[str, Any], validations: Sequence[Validation]) -> bool:
    """Return whether early stopping ended the training: so many validations lie after the best."""
    hooks = [hook for hook in config.get("custom_hooks") or () if isinstance(hook, dict)]
    hook = next((hook for hook in hooks if hook.get("type") == "PatienceHook"), None)
    monitor, patience = (hook or {}).get("monitor"), (hook or {}).get("patience")
    if not validations or not isinstance(monitor, str) or monitor.count("/") != 2 or not isinstance(patience, int):
        return False  # a config that was damaged or changed by hand is no reason to end a list of runs
    _, head, metric = monitor.split("/")
    found = [one.heads.get(unslug(head), {}).get(metric) for one in validations]
    worths = [-math.inf if value is None else worth(value, metric) for value in found]
    return len(worths) - 1 - worths.index(max(worths)) >= patience


def _config_in(name: str) -> str | None:
    """Return the config that a run's default name tells."""
    found = re.fullmatch(r"(.+)_\d{8}-\d{6}", name)
    return found and found[1]


def _data_folder(config: Mapping[str, Any]) -> Path | None:
    """Return the deepest folder that all annotations and images of a config lie in."""
    try:
        return Path(os.path.commonpath([place for split in SPLITS for place in _places(config[f"{split}_dataloader"])]))
    except (LookupError, TypeError, ValueError, AttributeError):  # none is named, or in a way that takes running
        return None


def _places(loader: Mapping[str, Any]) -> Iterator[str]:
    dataset = loader["dataset"]
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    if origin := (dataset.get("metainfo") or {}).get("converted_from"):
        yield origin[0]  # its annotations lie in the cache
        return
    root = dataset.get("data_root") or ""
    yield os.path.dirname(os.path.join(root, dataset["ann_file"]))
    yield os.path.normpath(os.path.join(root, (dataset.get("data_prefix") or {}).get("img", "")))
