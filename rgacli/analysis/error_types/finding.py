"""Which errors each head makes, by TIDE (Bolya et al., 2020), per bin of images: what a ratio trades for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import per_bin, words
from rgacli.analysis.error_types import figure
from rgacli.analysis.error_types.rows import Contrast, Row, contrasts_of, rows_of
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.intervals import Estimate
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import ALL, GTBin, bins_text
from rgacli.evaluation.max_dets import MaxDets, max_dets_for
from rgacli.evaluation.tide import ERRORS, costs, error_counts
from rgacli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TOLD = 3  # traded errors, in a sentence


@dataclass(frozen=True)
class ErrorTypes(Finding):
    """The errors of every set of detections.

    Attributes:
        bins: As `parse_bins` reads them.
        max_dets: How many detections of an image count, and why.
        score: The least of the detections whose errors are counted.
        rows: Per set of detections, for all images and each bin, one per error.
        contrasts: Of each two that are compared, for all images and each bin, one per error.
        by_image: Name -> image id -> error -> how many there are, counted as in the rows.
    """

    name: ClassVar[str] = "errors"
    title: ClassVar[str] = "errors by kind (TIDE)"
    paper: ClassVar[str] = (
        "tells no errors apart; it says that a head trained with more positives predicts higher scores, one with fewer "
        "is more prudent (Sec. 1)"
    )
    bins: str
    max_dets: MaxDets
    score: float
    rows: Sequence[Row]
    contrasts: Sequence[Contrast]
    by_image: Mapping[str, Mapping[int, Mapping[str, int]]]

    @property
    def about(self) -> dict[str, Any]:
        """The bins, the number of detections that count, the score, and how heads differ."""
        counted = {"max_dets": asdict(self.max_dets), "score": self.score}
        return {"bins": self.bins, **counted, "contrasts": list(map(asdict, self.contrasts))}

    def conclusion(self) -> str:
        """Say what two heads trade for what, where that is outside its interval, and what costs each head most."""
        images = {row.bin: row.images for row in self.rows}
        labels = per_bin.told(list(images), images)
        traded = [
            sentence
            for first, second in self._pairs
            for label in labels
            if (sentence := self._trade(first, second, label))
        ]
        known = [row for row in self.rows if row.bin == ALL and not math.isnan(row.AP50)]
        worst = []
        for name in dict.fromkeys(row.name for row in known):
            row = max((row for row in known if row.name == name), key=lambda row: row.costs)
            if row.costs > 0:
                worst.append(f"{name} {row.error} ({100 * row.costs:.1f})")
        if worst:
            traded.append(f"what costs most AP50, in points: {', '.join(worst)}")
        return "; ".join(traded) or ("no head makes any error" if known else "no image has objects")

    def tables(self) -> list[Table]:
        """Return per run what each error costs and how often it is made; and how heads differ."""
        start, errors = {"head": "head", "bin": "bin"}, {error: error for error in ERRORS}
        title = "AP50 in %, and points of it that mending each error would gain"
        costs = per_bin.tables(title, {**start, "AP50": "AP50", **errors}, _wide(self.rows, "costs"))
        title = f"errors per 100 objects, from a score of {self.score:g} on"
        rates = per_bin.tables(title, {**start, "objects": "objects", **errors}, _wide(self.rows, "rate"))
        tables = [table for of_run in zip(costs, rates, strict=True) for table in of_run]
        for first, second in self._pairs:
            lines: dict[str, dict[str, Any]] = {}
            for each in self.contrasts:
                if (each.first, each.second) == (first, second):
                    lines.setdefault(each.bin, {"bin": each.bin})[each.error] = _with_interval(each)
            title = f"{first} − {second}: errors per 100 objects, with 95 % interval"
            tables.append(Table(title, {"bin": "bin", **errors}, list(lines.values())))
        return tables

    def points(self) -> list[dict[str, Any]]:
        """Return the rows of images that have objects."""
        drawn = [asdict(row) for row in self.rows if row.objects]
        if not drawn:
            raise UsageError("nothing to draw: there are no detections, or no image has objects.")
        return drawn

    def draw(self) -> Figure:
        """Draw two panels per bin: what each error costs, and how often it is made, of every head."""
        return figure.draw(self)

    def _trade(self, first: str, second: str, label: str) -> str:
        own = [each for each in self.contrasts if (each.first, each.second, each.bin) == (first, second, label)]
        own = [each for each in own if not math.isnan(each.value)]
        sure = [each for each in own if not Estimate(each.value, each.low, each.high).is_zero_inside]
        if not own:
            return ""
        if all(math.isnan(each.low) for each in own):
            return f"{per_bin.where(label)} {first} and {second} cannot be compared: that takes several images"
        if not sure:
            return f"{per_bin.where(label)} {first} and {second} make the same errors within the intervals"
        sure = sorted(sure, key=lambda each: -abs(each.value))[:_MOST_TOLD]
        return f"{per_bin.where(label)} {first} against {second}, per 100 objects: {', '.join(map(_more, sure))}"

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((each.first, each.second) for each in self.contrasts))


def collect(
    annotations: Mapping[str, Any],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    bins: Sequence[GTBin],
    *,
    score: float = 0.3,
    max_dets: int | None = None,
    progress: Progress | None = None,
) -> ErrorTypes:
    """Tell the errors of every set of detections apart, on all images and on every bin.

    Args:
        annotations: A COCO dict.
        results: Name -> detections.
        bins: Bins that do not overlap.
        score: The least of the detections whose errors are counted; what they cost is by all of them, as AP is.
        max_dets: How many detections of an image count; None for `max_dets_for`'s number.
        progress: Told of each set of detections.
    """
    limit = max_dets_for(annotations, max_dets)
    for name, detections in results.items():
        per_bin.probabilities(name, detections)  # for the threshold to mean what it says
    by_image = error_counts(annotations, results, score=score, max_dets=limit.value, progress=progress)
    counted: dict[str, np.ndarray] = {}
    rows = []
    groups: dict[str, np.ndarray] = {}
    objects = np.empty(0)
    for done, (name, detections) in enumerate(results.items(), start=1):
        evaluation = evaluate(annotations, detections, max_dets=limit.value)
        counts = evaluation.gt_counts
        groups, listed = per_bin.groups(counts, bins), list(counts)
        objects = np.array([counts[image] for image in listed])
        counted[name] = np.array([[by_image[name][image][error] for error in ERRORS] for image in listed])
        for label, images in groups.items():
            tide = costs(evaluation, annotations, detections, [listed[i] for i in images], max_dets=limit.value)
            rows += rows_of(name, label, objects[images], counted[name][images], tide)
        if progress:
            progress("comparing", done, len(results))
    return ErrorTypes(bins_text(bins), limit, score, rows, contrasts_of(counted, objects, groups), by_image)


def _wide(rows: Sequence[Row], key: str) -> list[dict[str, Any]]:
    """Return a line per head and bin, with a column per error."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    scale = 100 if key == "costs" else 1
    for row in rows:
        fixed = {"name": row.name, "bin": row.bin, "objects": row.objects, "AP50": _tenth(100 * row.AP50)}
        lines.setdefault((row.name, row.bin), fixed)[row.error] = _tenth(scale * getattr(row, key))
    return list(lines.values())


def _more(each: Contrast) -> str:
    kind, ends = ("more", (each.low, each.high)) if each.value > 0 else ("fewer", (-each.high, -each.low))
    digits = 0 if abs(each.value) >= 10 else 1
    return f"{abs(each.value):.{digits}f} {kind} {each.error} ({words.spread(*ends, digits)})"


def _with_interval(each: Contrast) -> str | None:
    if math.isnan(each.low):
        return _tenth(each.value)
    half = (each.high - each.low) / 2
    digits = 0 if max(abs(each.value), half) >= 10 else 1
    return f"{each.value:.{digits}f} ±{half:.{digits}f}"


def _tenth(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:5.1f}"
