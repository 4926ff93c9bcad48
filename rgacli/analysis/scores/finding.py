"""How the heads' scores of the same boxes differ (paper, Sec. 4.3 and Fig. 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import per_bin, words
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.scores import figure
from rgacli.analysis.scores.rows import BY_CLASS, FOREGROUND, HeadScores, Row, difference_name, rows_of
from rgacli.analysis.scores.tally import (
    CELLS,
    FAR,
    HIGH,
    Histograms,
    share_from,
)
from rgacli.errors import UsageError
from rgacli.evaluation.gt_bins import ALL, GTBin, bins_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Scores(Finding):
    """The heads' scores of the same boxes, and their differences.

    Attributes:
        found: What was counted of each run.
        bins: Bins that do not overlap.
        about: Runs, split, bins, and what score makes an output count.
        rows: Per run and kind of score, for all images and each bin: one of every head, and of every two.
    """

    name: ClassVar[str] = "scores"
    title: ClassVar[str] = "scores of the heads for the same boxes"
    paper: ClassVar[str] = (
        "21.9 % of the scores of heads at 1:1 and 1:9 differ by more than 0.1 (COCO), and a head trained with fewer "
        "positives tends to lower ones (Fig. 6)"
    )
    found: Sequence[HeadScores]
    bins: Sequence[GTBin]
    about: Mapping[str, Any]
    rows: Sequence[Row]

    @property
    def disagreement(self) -> dict[str, dict[int, float]]:
        """Run -> image id -> mean absolute difference of its heads' scores, over outputs and every two heads.

        0 of an image without outputs.
        """
        return {own.run: {image.image_id: image.disagreement for image in own.by_class.images} for own in self.found}

    def conclusion(self) -> str:
        """Say, of every two heads, how many scores differ and which head's are higher; and in which bin most."""
        return "; ".join(self._sentence(row) for row in self.pairs() if row.bin == ALL)

    def tables(self) -> list[Table]:
        """Return, per run, a table of the heads and one of every two."""
        return [table for own in self.found for table in self._tables(own.run)]

    def points(self) -> list[dict[str, Any]]:
        """Return the histograms: how many scores of each head, and differences of every two, are in each cell."""
        if not any(own.by_class.overall.scores.any() for own in self.found):
            raise UsageError(f"nothing to draw: no head scores any box at least {self.about['min_score']:g}.")
        return list(self._points())

    def draw(self) -> Figure:
        """Draw Fig. 6: the heads' scores, the share of outputs by how far two heads differ; below, both per bin."""
        return figure.draw(self)

    def pairs(self, score: str = BY_CLASS) -> list[Row]:
        """Return the rows of every two heads."""
        return [row for row in self.rows if row.is_pair and row.score == score]

    def _sentence(self, row: Row) -> str:
        name = f"{row.run}: " if len(self.found) > 1 else ""
        first, second = row.heads
        if not row.outputs:
            return f"{name}no output of {first} and {second} to compare"
        interval = "" if math.isnan(row.share_low) else f" ({_percent(row.share_low)} to {_percent(row.share_high)})"
        (foreground,) = (other.share for other in self.pairs(FOREGROUND) if other.is_like(row))
        return (
            f"{name}{_percent(row.share)}{interval} of the scores of {first} and {second} differ by more than {FAR:g}, "
            f"of the boxes' foreground scores {_percent(foreground)}; {_which_is_higher(row)}{self._across_bins(row)}"
        )

    def _across_bins(self, overall: Row) -> str:
        """Return in which bins most and fewest differ; nothing where fewer than two bins tell."""
        rows = [row for row in self.pairs() if (row.run, row.heads) == (overall.run, overall.heads) and row.bin != ALL]
        told = sorted((row for row in rows if not row.is_few and row.outputs), key=lambda row: row.share)
        if len(told) < 2:
            return ""
        low, high = told[0], told[-1]
        if not high.share_low > low.share_high:  # nor where an end is unknown
            return "; between bins no difference can be told"
        return (
            f"; most differ in images with {per_bin.subset(high.bin)} ({_percent(high.share)}), fewest in those with "
            f"{per_bin.subset(low.bin)} ({_percent(low.share)})"
        )

    def _tables(self, run: str) -> Iterator[Table]:
        where = f"{run} on {self.about['split']}"
        rows = [_readable(row) for row in self.rows if row.run == run and row.score == BY_CLASS]
        columns = {"bin": "bin", "images": "images", "outputs": "outputs"}
        heads = {**columns, "name": "head", "mean": "mean", "mean_95": "95 %", "share": f"≥ {HIGH:g}"}
        yield Table(f"{self.title}: {where}", heads, [row for row in rows if not row["is_pair"]], group="bin")
        shares = {"share": f"> {FAR:g}", "share_95": "95 %"}
        pairs = {"bin": "bin", "images": "images", "name": "difference", "mean": "mean", "mean_95": "95 %", **shares}
        yield Table(f"differences of these: {where}", pairs, [row for row in rows if row["is_pair"]], group="bin")

    def _points(self) -> Iterator[dict[str, Any]]:
        for own in self.found:
            for score, tally in own.tallies.items():
                for label, counted in {ALL: tally.overall, **tally.by_bin}.items():
                    for name, counts, kind in _named(own, counted):
                        for cell, (count, share) in enumerate(zip(counts, share_from(counts)[:-1], strict=True)):
                            yield {
                                "run": own.run,
                                "score": score,
                                "bin": label,
                                "value": kind,
                                "heads": name,
                                "from": cell / CELLS,
                                "to": (cell + 1) / CELLS,
                                "count": int(count),
                                "share_from_here_on": float(share),
                            }


def found_in(found: Sequence[HeadScores], bins: Sequence[GTBin], **about: Any) -> Scores:
    """Return what the runs' tallies say of all images and of each bin; `about` is what they were counted on."""
    rows = [row for own in found for score, tally in own.tallies.items() for row in rows_of(own, score, tally, bins)]
    return Scores(found, bins, {"runs": [own.run for own in found], **about, "bins": bins_text(bins)}, rows)


def _named(own: HeadScores, counted: Histograms) -> Iterator[tuple[str, np.ndarray, str]]:
    """Yield name, histogram, and what is in it, of each head and of every two."""
    for head, counts in zip(own.heads, counted.scores, strict=True):
        yield head, counts, "score"
    for pair, counts in zip(own.pairs, counted.distances, strict=True):
        yield difference_name(pair), counts, "absolute difference"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _which_is_higher(row: Row) -> str:
    first, second = row.heads
    if row.difference.is_zero_inside:
        return f"which of them scores higher cannot be told (difference {words.signed(row.mean)})"
    higher, lower = (first, second) if row.mean > 0 else (second, first)
    low, high = sorted(map(abs, (row.mean_low, row.mean_high)))
    return f"{higher} scores {abs(row.mean):.3f} ({low:.3f} to {high:.3f}) higher than {lower} on average"


def _readable(row: Row) -> dict[str, Any]:
    """Return a row with its intervals as text."""
    intervals = {
        f"{key}_95": words.ends(low, high, 3)
        for key, low, high in (
            ("mean", row.mean_low, row.mean_high),
            ("share", row.share_low, row.share_high),
        )
    }
    return {**asdict(row), "name": row.name, "is_pair": row.is_pair, **intervals}
