"""One training's accuracies beside another's, at the same iterations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rgacli.analysis.logged import Training
from rgacli.analysis.steadiness import Mean, mean_of_blocks

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
    def at_first(self) -> Mean:
        """The early difference."""
        return Mean(self.early_difference, self.early_low, self.early_high)

    @property
    def in_all(self) -> Mean:
        """The difference over all."""
        return Mean(self.difference, self.low, self.high)


def baselines(trainings: Sequence[Training]) -> dict[str, str]:
    """Return run -> the run that it is compared with, for those that are compared with another.

    That is the one without RGA; of several the one of the same seed, else the first named. Where all are without RGA,
    or none is, it is the first named.
    """
    plain = [one for one in trainings if one.lambda0 == 1]
    if len(plain) == len(trainings):
        plain = []
    found = {}
    for training in trainings:
        same = [one for one in plain if one.seed == training.seed]
        chosen = next((some[0] for some in (plain, same) if len(some) == 1), (plain or trainings)[0])
        if chosen is not training and training not in plain:
            found[training.name] = chosen.name
    return found


def compare(trainings: Sequence[Training], sides: Mapping[str, str]) -> list[Row]:
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


def _series(training: Training, statistic: str, mean: bool) -> dict[str, np.ndarray]:
    found = training.of(statistic)
    return {**found, MEAN: np.mean(list(found.values()), axis=0)} if mean and len(found) > 1 else found


def _row(training: Training, head: str, on: str, values: np.ndarray, other: Training | None, statistic: str) -> Row:
    end = training.iterations[-1]
    whole = [values, values[_first(training.iterations)], values[training.iterations > (1 - EARLY) * end]]
    differences, is_early = np.array([]), np.array([], dtype=bool)
    if other and (head in other.of(statistic) or training.of(statistic).keys() == other.of(statistic).keys()):
        steps, own, others = np.intersect1d(training.iterations, other.iterations, return_indices=True)
        if steps.size:
            differences = values[own] - _series(other, statistic, mean=True)[head][others]
            is_early = _first(steps)
    early, all_ = mean_of_blocks(differences[is_early]), mean_of_blocks(differences)
    whole, first, last = (mean_of_blocks(part).value for part in whole)
    compared = int((~np.isnan(differences)).sum())
    baseline = other.name if other and compared else None
    return Row(training.name, head, on, first, last, whole, baseline, compared, *early, *all_)


def _first(iterations: np.ndarray) -> np.ndarray:
    """Return which lines (N,) are of the first 20 % of iterations; the first line always is."""
    return iterations <= max(EARLY * iterations[-1], iterations[0])


def told(trainings: Sequence[Training], rows: Sequence[Row]) -> list[str]:
    """Return what the comparisons found, a sentence for each run; for each method, where several runs have it.

    Args:
        trainings, rows: As `compare` takes and returns them.
    """
    methods: dict[str, list[Training]] = defaultdict(list)
    for training in trainings:
        if any(row.baseline for row in rows if row.run == training.name):
            methods[training.method].append(training)
    return [
        _of_one(runs[0], rows) if len(runs) == 1 else _of_several(method, runs, rows)
        for method, runs in methods.items()
    ]


def _of_one(training: Training, rows: Sequence[Row]) -> str:
    own = _most_telling([row for row in rows if row.run == training.name and row.baseline])
    sides = [
        f"on {row.on} {_difference(row.at_first)} in the first 20 % of iterations, {_difference(row.in_all)} over all"
        for row in own
    ]
    head = "mean of the heads" if own[0].head == MEAN else f"head {own[0].head}"
    return f"{training.name} ({training.method}) against {own[0].baseline}, accuracy, {head}: {'; '.join(sides)}"


def _most_telling(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the mean of the heads, else those of the first head that is compared."""
    head = MEAN if any(row.head == MEAN for row in rows) else rows[0].head
    return [row for row in rows if row.head == head]


def _difference(mean: Mean) -> str:
    if not mean.is_known:
        return f"{mean.text} points (too few lines were logged for an interval)"
    return f"{mean.text} points" + " (within its interval)" * (not mean.is_clear)


def _of_several(method: str, runs: Sequence[Training], rows: Sequence[Row]) -> str:
    sides = []
    names = {run.name for run in runs}
    own = _most_telling([row for row in rows if row.run in names and row.baseline])
    for on in dict.fromkeys(row.on for row in own):
        parts = []
        for when, values in (
            ("in the first 20 % of iterations", [row.early_difference for row in own if row.on == on]),
            ("over all", [row.difference for row in own if row.on == on]),
        ):
            parts.append(f"{np.mean(values):+.1f} ({min(values):+.1f} to {max(values):+.1f}) {when}")
        sides.append(f"on {on} {' and '.join(parts)}")
    seeds = ", ".join(str(run.seed) for run in runs)
    return f"{len(runs)} runs with {method} (seeds {seeds}), mean and range: {'; '.join(sides)}"
