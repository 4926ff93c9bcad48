"""Which sets of detections are compared: how each was trained, which belong on one line, and which is the baseline."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rgacli.analysis.per_bin import run_and_head
from rgacli.errors import UsageError
from rgacli.method import ENSEMBLE, parse_head_name
from rgacli.wording import param

if TYPE_CHECKING:
    from mmengine.config import Config

SEPARATELY = "separately trained"


@dataclass(frozen=True)
class Compared:
    """One set of detections among others.

    Attributes:
        name: A head's ("1:9", "ensemble", or "RUN 1:9" of several runs), or whatever a user calls the detections.
        run: The run in the name; "" where there is none.
        head: The head in the name; of a name that is no head's, all of it.
        place: On the x axis: the ratio it was trained at, "ensemble", or its name.
        line: What it is drawn on one line with: a run's heads, or separate runs that differ in their ratio alone.
    """

    name: str
    run: str
    head: str
    place: str
    line: str


@dataclass(frozen=True)
class Training:
    """How a run was trained.

    Attributes:
        heads: Names of its heads and its ensemble, as its detections are called.
        ratio: Of its only head; None where it has several, or its ratio is unknown.
        settings: What else may differ between runs -> how a legend says it.
    """

    heads: Sequence[str]
    ratio: str | None
    settings: Mapping[str, str]


def training_of(cfg: Config) -> Training:
    """Return what a run's config says of its training, as far as runs are told apart by it."""
    from rgacli.config.recipe import (  # load mmengine
        annealing_config,
        detector_name,
        parallel_modules,
        single_ratio,
        variant_names,
    )

    ratio, prm, annealing = single_ratio(cfg), parallel_modules(cfg), annealing_config(cfg)
    backbone, schedule = cfg.model.get("backbone") or {}, cfg.train_cfg
    epochs, iterations = schedule.get("max_epochs"), schedule.get("max_iters")
    settings = {
        "detector": f"{detector_name(cfg.model)}, {backbone.get('type')} {backbone.get('depth', '')}".rstrip(),
        "annealing": f"λ0 {annealing['lambda0']:g} ({annealing['anneal']})" if annealing else "no RGA",
        "sampling": f"{prm.sampling if prm else 'soft'} sampling",
        "length": f"{epochs} epochs" if epochs else f"{iterations} iterations",
    }
    return Training(tuple(variant_names(cfg).values()), str(ratio) if ratio else None, settings)


def by_name(names: Iterable[str]) -> list[Compared]:
    """Return what detections are, by their names alone: "RUN 1:9" is a head of RUN, "RetinaNet" is itself."""
    found = []
    for name in names:
        run, head = run_and_head(name)
        is_head = head == ENSEMBLE or parse_head_name(head) is not None
        place, line = (head, run or "heads") if is_head else (name, name)
        found.append(Compared(name, run, head, place, line))
    return found


def by_training(trainings: Mapping[str, Training]) -> list[Compared]:
    """Return what the detections of runs are.

    Args:
        trainings: Run -> how it was trained; of a single run, names are those of its heads.
    """
    lines = _lines_of_single({run: training for run, training in trainings.items() if len(training.heads) == 1})
    found = []
    for run, training in trainings.items():
        own = run if len(trainings) > 1 else ""
        line = lines.get(run) or (f"{own} (PRM)" if own else "heads")
        for head in training.heads:
            whole = head if head == ENSEMBLE or parse_head_name(head) else own or head
            place = training.ratio or whole
            found.append(Compared(f"{own} {head}" if own else head, own, head, place, line))
    return found


def _lines_of_single(trainings: Mapping[str, Training]) -> dict[str, str]:
    """Return run -> line, of runs of one head: those that differ in their ratio alone share one.

    Of runs that do not differ at all, such as those of other seeds, the second of each ratio forms a second line.
    """
    groups: dict[tuple, list[str]] = defaultdict(list)
    seen: Counter[tuple] = Counter()
    for run, training in trainings.items():
        settings = tuple(training.settings.items())
        alike = (training.ratio or run, settings)
        groups[settings, seen[alike], None if training.ratio else run].append(run)
        seen[alike] += 1
    several = {key: runs for key, runs in groups.items() if len(runs) > 1}
    differing = {setting for one in several for other in several for setting in {*one[0]} - {*other[0]}}
    lines = {}
    for (settings, repetition, _), runs in groups.items():
        parts = [SEPARATELY, *(text for key, text in settings if (key, text) in differing)]
        line = ", ".join(parts) + (f" ({repetition + 1})" if repetition else "")
        lines |= dict.fromkeys(runs, line if len(runs) > 1 else runs[0])
    return lines


def find_baseline(compared: Sequence[Compared], asked: str | None) -> str | None:
    """Return the name of the detections that the others are compared with; None where there are no others.

    By default it is what is named first or, of a run with an ensemble, that: differences then say what a head is worth
    without the others, or what a run is worth beside the first.

    Args:
        compared: All of them.
        asked: A name of theirs, or a run's, which means its ensemble or its only head.

    Raises:
        UsageError: there is no such name.
    """
    first = compared[0]
    if asked is None:
        return _whole(compared, first.run) or first.name if len(compared) > 1 else None
    names = [one.name for one in compared]
    found = asked if asked in names else _whole(compared, asked) if asked else None
    if found is None:
        raise UsageError(f"{param('baseline', asked)}: there are no such detections; there are {', '.join(names)}.")
    return found


def _whole(compared: Sequence[Compared], run: str) -> str | None:
    """Return the name of a run's ensemble or only head; None where it has neither."""
    own = [one for one in compared if one.run == run]
    if len(own) == 1:
        return own[0].name
    return next((one.name for one in own if one.head == ENSEMBLE), None)
