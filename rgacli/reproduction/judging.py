"""What seeds tell of a quantity and of a claim about it. The rules are these, written before any training was run.

A quantity has one value for each seed; differences are taken within a seed. Its interval is Student's, over seeds, at
95 %. A claim that it is positive *holds* where the interval lies above 0, is *contradicted* where it lies below 0, and
is else *not shown*; of a negative one the other way round. A claim that it is zero holds where the interval lies within
the margin, and is contradicted where it lies outside. A claim of which no seed has a value is *not measured*. Each
claim is judged for itself: of twenty about nothing, one would be expected to hold or be contradicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rgacli.analysis.intervals import Estimate, mean
from rgacli.reproduction.sweep import Claim, Expected, Quantity, Row, Table

Verdict = Literal["holds", "not shown", "contradicted", "not measured"]
Numbers = Mapping[int, Mapping[str, float]]
"""Seed -> name of a number -> its value, of one arm."""


@dataclass(frozen=True)
class Judged:
    """A quantity over seeds.

    Attributes:
        quantity: As it is written.
        seeds: That have it.
        values: Of each.
        mean, low, high: Their mean and its 95 % interval; NaN where unknown.
        paper: The paper's number; None where it gives none.
    """

    quantity: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    paper: float | None = None


@dataclass(frozen=True)
class JudgedClaim(Judged):
    """A claim, judged.

    Attributes:
        claim: In words.
        expected: What the quantity is said to be: "positive", "negative", or "zero", within `margin`.
        margin: In the quantity's unit.
        verdict: By the rules of this module.
    """

    claim: str = ""
    expected: Expected = "positive"
    margin: float = 0.0
    verdict: Verdict = "not measured"

    @property
    def text(self) -> str:
        """The claim as it is judged: "the same (within ±0.5)"."""
        return f"{self.claim} (within ±{self.margin:g})" if self.expected == "zero" else self.claim


@dataclass(frozen=True)
class JudgedRow:
    """A line of a table: column -> what stands there."""

    label: str
    cells: Mapping[str, Judged]


@dataclass(frozen=True)
class JudgedTable:
    """A table with what was measured.

    Attributes:
        name, title, columns, lacking: The table's.
        rows: Its lines.
        claims: What came of its claims.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[JudgedRow, ...]
    claims: tuple[JudgedClaim, ...]
    lacking: tuple[str, ...]


def judge(table: Table, numbers: Mapping[str, Numbers]) -> JudgedTable:
    """Return a table with what was measured of its arms.

    Args:
        table: What is asked.
        numbers: Arm -> its numbers. What is missing of a seed leaves that seed out.
    """
    return JudgedTable(
        table.name,
        table.title,
        table.columns,
        tuple(_row(row, numbers) for row in table.rows),
        tuple(_claim(claim, numbers) for claim in table.claims),
        table.lacking,
    )


def values_of(quantity: Quantity, numbers: Mapping[str, Numbers]) -> dict[int, float]:
    """Return seed -> value, of the seeds that have all parts of a quantity."""
    common = [set(numbers.get(arm, {})) for arm in quantity.arms]
    found = {}
    for seed in sorted(set.intersection(*common)):
        parts = [(sign, numbers[arm][seed].get(what)) for sign, arm, what in quantity.terms]
        if all(value is not None for _, value in parts):
            found[seed] = math.fsum(sign * value for sign, value in parts)
    return found


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return the mean of what seeds have and its interval (Student's, n - 1 degrees of freedom)."""
    if not values:
        return Estimate(math.nan, math.nan, math.nan)
    return mean(values)


def verdict_of(estimate: Estimate, expected: Expected, margin: float = 0.0) -> Verdict:
    """Return the verdict on a claim, by this module's rules; an unknown interval shows nothing."""
    _, low, high = estimate
    if math.isnan(low) or math.isnan(high):
        return "not shown"
    if expected == "zero":
        if -margin <= low and high <= margin:
            return "holds"
        return "contradicted" if low > margin or high < -margin else "not shown"
    if expected == "negative":
        low, high = -high, -low
    return "holds" if low > 0 else "contradicted" if high < 0 else "not shown"


def _row(row: Row, numbers: Mapping[str, Numbers]) -> JudgedRow:
    return JudgedRow(
        row.label,
        {
            column: _judged(row.cells.get(column), numbers, row.paper.get(column))
            for column in dict.fromkeys((*row.cells, *row.paper))
        },
    )


def _judged(quantity: Quantity | None, numbers: Mapping[str, Numbers], paper: float | None) -> Judged:
    values = values_of(quantity, numbers) if quantity else {}
    return Judged(
        quantity.text if quantity else "",
        tuple(values),
        tuple(values.values()),
        *over_seeds(list(values.values())),
        paper,
    )


def _claim(claim: Claim, numbers: Mapping[str, Numbers]) -> JudgedClaim:
    found = _judged(claim.quantity, numbers, claim.paper)
    estimate = Estimate(found.mean, found.low, found.high)
    verdict = verdict_of(estimate, claim.expected, claim.margin) if found.values else "not measured"
    return JudgedClaim(**vars(found), claim=claim.text, expected=claim.expected, margin=claim.margin, verdict=verdict)
