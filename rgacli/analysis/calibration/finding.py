"""How far scores can be trusted: reliability diagrams, calibration error and bias of every head, per bin of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from hotcoco.metrics import calibration_curve, calibration_error

from rgacli.analysis import per_bin, words
from rgacli.analysis.calibration import figure
from rgacli.analysis.calibration.rows import INTERVALS, Contrast, Point, Row, contrasts_of, point_of, row_of
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.intervals import Estimate
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import ALL, GTBin, bins_text
from rgacli.evaluation.max_dets import MaxDets, max_dets_for
from rgacli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TOLD = 4  # each by itself, in a sentence


@dataclass(frozen=True)
class Calibration(Finding):
    """How scores compare with the share of detections that are right.

    Attributes:
        bins: As `parse_bins` reads them.
        max_dets: How many detections of an image count, and why.
        rows: Per set of detections one for all images, then one per bin.
        curves: The points of their reliability diagrams.
        contrasts: Of each two that are compared, for all images and each bin.
    """

    name: ClassVar[str] = "calibration"
    title: ClassVar[str] = "scores against the share that is right"
    paper: ClassVar[str] = (
        "measures no calibration; it says that a head trained with more positives predicts higher scores for all "
        "proposals, one with fewer is more prudent (Sec. 1)"
    )
    bins: str
    max_dets: MaxDets
    rows: Sequence[Row]
    curves: Sequence[Point]
    contrasts: Sequence[Contrast]

    @property
    def about(self) -> dict[str, Any]:
        """The bins, the number of detections that count, and how two heads' biases differ."""
        contrasts = list(map(asdict, self.contrasts))
        return {"bins": self.bins, "max_dets": asdict(self.max_dets), "contrasts": contrasts}

    def conclusion(self) -> str:
        """Say how far scores promise too much or too little, and by how much two heads differ in which bin."""
        images, names = {row.bin: row.images for row in self.rows}, {row.name for row in self.rows}
        compared = {name for each in self.contrasts for name in (each.first, each.second)}
        named = names if len(names) <= _MOST_TOLD else names - compared
        biases = [_bias(row) for row in self.rows if row.bin == ALL and row.detections and row.name in named]
        parts = {ALL: biases}
        for label in per_bin.told(list(images), images):
            known = [each for each in self.contrasts if each.bin == label and not math.isnan(each.value)]
            parts[label] = [*parts.get(label, []), *map(_contrast, known)]
        sentences = [f"{per_bin.where(label)} {', '.join(told)}" for label, told in parts.items() if told]
        return "; ".join(sentences) or "no image has detections"

    def tables(self) -> list[Table]:
        """Return a table per run, and one of how heads differ."""
        columns = {
            "head": "head",
            "bin": "bin",
            "detections": "found",
            "confidence": "score",
            "accuracy": "right",
            "bias": "bias",
            "interval": "95 %",
            "ECE": "ECE",
        }
        shown = ({**asdict(row), "interval": words.ends(row.bias_low, row.bias_high)} for row in self.rows)
        tables = per_bin.tables(self.title, columns, shown)
        if self.contrasts:
            rows = [
                {**asdict(each), "pair": f"{each.first} − {each.second}", "interval": words.ends(each.low, each.high)}
                for each in self.contrasts
            ]
            headings = {"pair": "heads", "bin": "bin", "value": "difference of bias", "interval": "95 %"}
            tables.append(Table("how their biases differ", headings, rows, group="pair"))
        return tables

    def points(self) -> list[dict[str, Any]]:
        """Return the points of the reliability diagrams."""
        if not self.curves:
            raise UsageError("nothing to draw: there are no detections.")
        return list(map(asdict, self.curves))

    def draw(self) -> Figure:
        """Draw a reliability diagram per bin, and the bias of each head in each bin.

        Below the diagonal scores promise too much. Points of few detections are faint, as is all of too few images.
        """
        return figure.draw(self)


def collect(
    annotations: Mapping[str, Any],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    bins: Sequence[GTBin],
    *,
    max_dets: int | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Compare every set of detections' scores with what turns out to be right, on all images and on every bin.

    Args:
        annotations: A COCO dict.
        results: Name -> detections; their scores are probabilities.
        bins: Bins that do not overlap.
        max_dets: How many detections of an image count; None for `max_dets_for`'s number.
        progress: Told of each set of detections.

    Raises:
        DataError: a score is no probability.
    """
    limit = max_dets_for(annotations, max_dets)
    rows, curves, sums = [], [], {}
    groups: dict[str, np.ndarray] = {}
    for done, (name, detections) in enumerate(results.items(), start=1):
        scores = per_bin.probabilities(name, detections)
        evaluation = evaluate(annotations, detections, max_dets=limit.value)
        counts, outcomes = evaluation.gt_counts, evaluation.outcomes
        groups = per_bin.groups(counts, bins)
        place = {image: index for index, image in enumerate(counts)}
        owners = np.array([place[detection["image_id"]] for detection in detections], dtype=int)
        counted = outcomes >= 0
        scores, owners, right = scores[counted], owners[counted], outcomes[counted] > 0

        number, promised, kept = (
            np.bincount(owners, weights=weights, minlength=len(counts)) for weights in (None, scores, right)
        )
        sums[name] = promised - kept, number
        for label, images in groups.items():
            inside = np.isin(owners, images)
            own = calibration_curve(scores[inside], right[inside], INTERVALS)
            curves += [point_of(name, label, each) for each in own if each["count"]]
            rows.append(
                row_of(name, label, images, number, promised, kept, calibration_error(scores[inside], right[inside]))
            )
        if progress:
            progress("comparing", done, len(results))
    return Calibration(bins_text(bins), limit, rows, curves, contrasts_of(sums, groups))


def _bias(row: Row) -> str:
    spread = words.spread(row.bias_low, row.bias_high)
    if row.bias_low <= 0 <= row.bias_high:
        return f"{row.name} scores right within its interval ({words.plain(row.bias)}, {spread})"
    if row.bias > 0:
        return f"{row.name} scores {row.bias:.2f} too high ({spread})"
    return f"{row.name} scores {-row.bias:.2f} too low ({words.spread(-row.bias_high, -row.bias_low)})"


def _contrast(each: Contrast) -> str:
    value, spread = words.plain(each.value), words.spread(each.low, each.high)
    if Estimate(each.value, each.low, each.high).is_zero_inside:
        return f"{each.first} and {each.second} cannot be told apart ({value}, {spread})"
    return f"{each.first} minus {each.second} {value} ({spread})"
