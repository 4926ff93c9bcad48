"""One training's accuracies beside another's, at the same iterations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.analysis.intervals import Estimate
from rgacli.analysis.logged import TrainingLog
from rgacli.analysis.steadiness import first_part, last_part, mean_of_blocks
from rgacli.analysis.words import in_words, signed

EARLY = 0.2
"""Of the iterations, those that are early at the beginning, and late at the end."""
MEAN = "mean"
"""In a head's place: the mean over all heads."""


@dataclass(frozen=True)
class Row:
    """A head's accuracy on positives, or on negatives, in percent; NaN where unknown.

    Attributes:
        run: The run's name.
        head: The head's, or "mean" of all.
        on: "positives" or "negatives".
        early, late, whole: Mean over the first 20 % of iterations, over the last 20 %, and over all.
        baseline: The run that it is compared with; None where there is none, or not this head.
        compared: Number of logged lines at the same iterations as the baseline's: what differences are taken of.
        early_difference, early_low, early_high: Mean difference to it in the first 20 % of these, in points, and its
            95 % interval (`steadiness.mean_of_blocks`).
        difference, low, high: The same over all of these.
    """

    run: str
    head: str
    on: str
    early: float
    late: float
    whole: float
    baseline: str | None
    compared: int
    early_difference: float
    early_low: float
    early_high: float
    difference: float
    low: float
    high: float

    @property
    def at_first(self) -> Estimate:
        """The early difference."""
        return Estimate(self.early_difference, self.early_low, self.early_high)

    @property
    def in_all(self) -> Estimate:
        """The difference over all."""
        return Estimate(self.difference, self.low, self.high)


def baselines(trainings: Sequence[TrainingLog]) -> dict[str, str]:
    """Return run -> the run that it is compared with, for those that are compared with another.

    That is the one without RGA; of several one with the same heads, of those the one of the same seed, else the first
    named. Where all are without RGA, or none is, it is the first named.
    """
    plain = [one for one in trainings if one.lambda0 == 1]
    if len(plain) == len(trainings):
        plain = []
    found = {}
    for training in trainings:
        like = [one for one in plain if one.quotas.keys() == training.quotas.keys()] or plain
        same = [one for one in like if one.seed == training.seed is not None]
        chosen = (same or like or trainings)[0]
        if chosen is not training and training not in plain:
            found[training.name] = chosen.name
    return found


def compare(trainings: Sequence[TrainingLog], sides: Mapping[str, str]) -> list[Row]:
    """Return the accuracies of every training's heads, and how they differ from its baseline's.

    Args:
        trainings: Those that have any, in their order.
        sides: "positives" and "negatives" -> the statistic that is logged of them.
    """
    by_name, against = {one.name: one for one in trainings}, baselines(trainings)
    return [
        _row(training, head, on, values, by_name.get(against.get(training.name)), statistic)
        for on, statistic in sides.items()
        for training in trainings
        for head, values in _series(training, statistic, mean=len(trainings) > 1).items()
    ]


def _series(training: TrainingLog, statistic: str, mean: bool) -> dict[str, np.ndarray]:
    found = training.of(statistic)
    return {**found, MEAN: np.mean(list(found.values()), axis=0)} if mean and len(found) > 1 else found


def _row(
    training: TrainingLog, head: str, on: str, values: np.ndarray, other: TrainingLog | None, statistic: str
) -> Row:
    is_first, is_last = (part(training.iterations, EARLY) for part in (first_part, last_part))
    differences, is_early = np.array([]), np.array([], dtype=bool)
    if other and (head in other.of(statistic) or training.of(statistic).keys() == other.of(statistic).keys()):
        steps, own, others = np.intersect1d(training.iterations, other.iterations, return_indices=True)
        if steps.size:
            differences = values[own] - _series(other, statistic, mean=True)[head][others]
            is_early = first_part(steps, EARLY)
    early, all_ = mean_of_blocks(differences[is_early]), mean_of_blocks(differences)
    first, last, whole = (mean_of_blocks(part).value for part in (values[is_first], values[is_last], values))
    compared = int((~np.isnan(differences)).sum())
    baseline = other.name if other and compared else None
    return Row(training.name, head, on, first, last, whole, baseline, compared, *early, *all_)


def told(trainings: Sequence[TrainingLog], rows: Sequence[Row]) -> list[str]:
    """Return what the comparisons found: a sentence for each run, or for those that differ in their seeds alone.

    Args:
        trainings, rows: As `compare` takes and returns them.
    """
    compared = {row.run for row in rows if row.baseline}
    alike: dict[Any, list[TrainingLog]] = defaultdict(list)
    for training in (one for one in trainings if one.name in compared):
        alike[training.method, tuple(training.quotas.items()), training.iterations[-1]].append(training)
    found = []
    for runs in alike.values():
        if len({run.seed for run in runs}) == len(runs) > 1:
            found.append(_of_several(runs, rows))
        else:
            found += [_of_one(run, rows) for run in runs]
    return found


def _of_one(training: TrainingLog, rows: Sequence[Row]) -> str:
    own = _most_telling([row for row in rows if row.run == training.name and row.baseline])
    sides = [
        f"on {row.on} {_points(row.at_first)} in the first 20 % of iterations, {_points(row.in_all)} over all"
        for row in own
    ]
    compared = f"{training.name} ({training.method}) against {own[0].baseline}"
    return f"{compared}, accuracy in points, {_whose(own)}: {'; '.join(sides)}"


def _points(difference: Estimate) -> str:
    return in_words(*difference, decimals=1)


def _most_telling(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the mean of the heads, else those of the first head that is compared."""
    head = MEAN if any(row.head == MEAN for row in rows) else rows[0].head
    return [row for row in rows if row.head == head]


def _of_several(runs: Sequence[TrainingLog], rows: Sequence[Row]) -> str:
    names = {run.name for run in runs}
    own = _most_telling([row for row in rows if row.run in names and row.baseline])
    sides = []
    for on in dict.fromkeys(row.on for row in own):
        early, whole = zip(*((row.early_difference, row.difference) for row in own if row.on == on), strict=True)
        sides.append(f"on {on} {_range(early)} in the first 20 % of iterations, {_range(whole)} over all")
    seeds = ", ".join(str(run.seed) for run in runs)
    against = ", ".join(dict.fromkeys(row.baseline for row in own))
    return (
        f"{len(runs)} runs with {runs[0].method} (seeds {seeds}) against {against}, accuracy, {_whose(own)}, mean and "
        f"range of the runs: {'; '.join(sides)}"
    )


def _range(values: Sequence[float]) -> str:
    mean, low, high = (signed(float(value), 1) for value in (np.mean(values), min(values), max(values)))
    return f"{mean} points ({low} to {high})"


def _whose(rows: Sequence[Row]) -> str:
    return "mean of the heads" if rows[0].head == MEAN else f"head {rows[0].head}"
