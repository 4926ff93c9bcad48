"""What rows say, by what is shown and what is not: a headline, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rgacli.analysis.at_a_glance.rows import FALSE, FOUND, Row, other_of
from rgacli.analysis.words import in_words


@dataclass(frozen=True)
class Claim:
    """What one panel shows.

    Attributes:
        headline: In a few words: "the ensemble is better than each of its heads".
        numbers: What says so, with intervals.
    """

    headline: str
    numbers: str

    @property
    def text(self) -> str:
        """Both, to be made a sentence of."""
        return f"{self.headline}: {self.numbers}"


def of_training(row: Row, head: str, quota: int, stage: str = "") -> Claim:
    """Say whether a head draws more positives late in its training than early.

    Args:
        row: Positives, late and early.
        head: Whose.
        quota: How many its ratio asks for in an image.
        stage: Of which stage of a cascade, as `logged.stage_note` has it.
    """
    early, late = (100 * value / quota for value in (row.other_value, row.value))
    headline = {
        1: f"early in training head {head} gets {early:.0f} % of its positives, late {late:.0f} %",
        0: f"the positives of head {head} are not shown to grow in training",
        -1: f"the positives of head {head} get fewer in training",
    }[row.side]
    return Claim(
        headline,
        f"of the {quota} an image that its ratio asks for{stage}, {row.other_value:.1f} in the first 5 % of iterations "
        f"and {row.value:.1f} in the last 20 %, {in_words(*row.change, decimals=1)}",
    )


def of_heads(rows: Sequence[Row], score: float) -> Claim:
    """Say what two heads trade for what: objects found, and false detections; from a score on."""
    by_quantity = {row.quantity: row for row in rows}
    found, false = by_quantity[FOUND], by_quantity[FALSE]
    first, second = found.name, found.other
    finding, being_right = (  # who is the better in either
        {1: first, -1: second, 0: ""}[side] for side in (found.side, -false.side)
    )
    worse = {first: second, second: first}
    if finding and being_right and finding != being_right:
        headline = f"head {finding} finds more objects, head {being_right} is wrong less often"
    elif finding and being_right:
        headline = f"head {finding} finds more objects and is wrong less often than head {worse[finding]}"
    elif finding:
        headline = f"head {finding} finds more objects than head {worse[finding]}"
    elif being_right:
        headline = f"head {being_right} is wrong less often than head {worse[being_right]}"
    else:
        headline = f"heads {first} and {second} are not shown to differ"
    return Claim(
        headline,
        f"per 100 objects, from a score of {score:g} on, heads {first} and {second} find {_both(found)}, and make "
        f"{_both(false, ' false detections')}",
    )


def of_ensemble(rows: Sequence[Row], images: str) -> Claim:
    """Say what the ensemble is shown to be better than, of heads and a baseline, and what better than it.

    Args:
        rows: A baseline's before the heads'.
        images: What it was measured on: "100 images".
    """
    told = [
        f"{word} than {' and '.join(named)}"
        for side, word in ((1, "better"), (-1, "worse"))
        if (named := _others(rows, side))
    ]
    headline = f"the ensemble is {' and '.join(told)}"
    if not told:
        whom = "its heads" if all(map(_is_head, rows)) else f"{other_of(rows[0])} and its heads"
        headline = f"the ensemble is not shown to differ from {whom}"
    gains = ", ".join(f"{in_words(*row.change)} against {other_of(row)}" for row in rows)
    return Claim(headline, f"its AP on {images} is {rows[0].value:.3f}, {gains}")


def _others(rows: Sequence[Row], side: int) -> list[str]:
    """Return what the ensemble is shown to be on one side of: a baseline, and heads; all of several heads as one."""
    heads = [row for row in rows if _is_head(row)]
    own = [row for row in heads if row.side == side]
    others = [other_of(row) for row in rows if row.side == side and not _is_head(row)]
    return [*others, *(["each of its heads"] if own and len(own) == len(heads) else _heads(own))]


def _is_head(row: Row) -> bool:
    return other_of(row) != row.other


def _both(row: Row, unit: str = "") -> str:
    decimals = 0 if max(abs(row.value), abs(row.other_value)) >= 10 else 1
    values = " and ".join(f"{value:.{decimals}f}" for value in (row.value, row.other_value))
    return f"{values}{unit}, {in_words(*row.change, decimals=decimals)}"


def _heads(rows: Sequence[Row]) -> list[str]:
    names = [row.other for row in rows]
    return [("head " if len(names) == 1 else "heads ") + " and ".join(names)] if names else []
