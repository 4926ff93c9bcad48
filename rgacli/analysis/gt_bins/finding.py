"""AP of every head and of the ensemble per ground-truth-count bin (paper, Sec. 1 and Fig. 2)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rgacli.analysis import per_bin, words
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.gt_bins import figure
from rgacli.analysis.gt_bins.compared import Compared, by_name, find_baseline
from rgacli.analysis.gt_bins.rows import Row, rows_of
from rgacli.analysis.intervals import estimate_of
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import Evaluation, evaluate
from rgacli.evaluation.gt_bins import ALL, GTBin, bins_text
from rgacli.evaluation.max_dets import MaxDets, max_dets_for
from rgacli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GtBins(Finding):
    """AP by the number of objects in the image.

    Attributes:
        bins: As `parse_bins` reads them.
        max_dets: How many detections of an image count, and why.
        rows: Per set of detections one for all images, then one per bin.
        baseline: Name of the detections that differences are to; None where there is one set alone.
    """

    name: ClassVar[str] = "gt_bins"
    title: ClassVar[str] = "AP per ground-truth-count bin"
    paper: ClassVar[str] = (
        "more positives in training are better for images with 8 and more objects, fewer for those with 1 to 3, and "
        "PRM is better than either (Fig. 2)"
    )
    bins: str
    max_dets: MaxDets
    rows: Sequence[Row]
    baseline: str | None = None

    @property
    def about(self) -> dict[str, Any]:
        """The bins, the number of detections that count, and the baseline."""
        return {"bins": self.bins, "max_dets": asdict(self.max_dets), "baseline": self.baseline}

    def conclusion(self) -> str:
        """Say what is best on the images of fewest and of most objects, and by how much, against the baseline."""
        labels = list(dict.fromkeys(row.bin for row in self._measured))
        ends = [label for label in labels if label != ALL] or labels
        return "; ".join(self._best(label) for label in dict.fromkeys([*ends[:1], *ends[-1:]]))

    def tables(self) -> list[Table]:
        """Return a table per run."""
        by_run: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            images = f"{row.images} (few)" if row.is_few else row.images
            intervals = {"interval": words.ends(row.AP_low, row.AP_high), "difference": words.short(*row.gain)}
            cells = {"images": images, **intervals}
            by_run[row.run].append({**asdict(row), **cells})
        columns = {column: column for column in ("head", "bin", "images", "objects", "AP", "interval", "AP50", "AP75")}
        columns["interval"] = "95 %"
        if all(math.isnan(row.AP_low) for row in self.rows):
            del columns["interval"]
        against = ""
        if not all(math.isnan(row.difference) for row in self.rows):
            del columns["objects"]  # which all heads share: 80 columns do not hold both
            columns["difference"] = "to baseline"
            against = f"; baseline {self.baseline}"
        return [
            Table((f"{self.title}: {run}" if run else self.title) + against, columns, rows, group="head")
            for run, rows in by_run.items()
        ]

    def points(self) -> list[dict[str, Any]]:
        """Return the rows that have an AP."""
        if not self._measured:
            raise UsageError("nothing to draw: there are no detections, or no image has objects.")
        return list(map(asdict, self._measured))

    def draw(self) -> Figure:
        """Draw Fig. 2: AP over the ratio in training on each bin, and the differences to the baseline below."""
        return figure.draw(self._measured, self.baseline)

    @property
    def _measured(self) -> list[Row]:
        return [row for row in self.rows if not math.isnan(row.AP)]

    def _best(self, label: str) -> str:
        rows = sorted((row for row in self._measured if row.bin == label), key=lambda row: row.AP, reverse=True)
        where, best = per_bin.where(label), rows[0]
        if best.is_few:
            return f"{where} nothing can be told: {best.images} are too few"
        if len(rows) == 1 or self.baseline is None:
            return f"{where} {best.name} has AP {words.with_ends(*estimate_of(best, 'AP'), decimals=3)}"
        if best.name != self.baseline:
            return f"{where} {best.name} is best: against {self.baseline} {words.in_words(*best.gain)}"
        return f"{where} {best.name} is best: {rows[1].name} against it {words.in_words(*rows[1].gain)}"


def collect(
    annotations: Mapping[str, Any],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    bins: Sequence[GTBin],
    *,
    compared: Sequence[Compared] | None = None,
    baseline: str | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    max_dets: int | None = None,
    progress: Progress | None = None,
) -> GtBins:
    """Evaluate every set of detections on all images and on every bin, alone and against the baseline.

    Of a mapping that reads detections when they are asked for, no two are in memory at once.

    Args:
        annotations: A COCO dict, as `rgacli.data.annotations.load_annotations` returns it.
        results: Name -> detections, as `rgacli.evaluation.results.load_results` returns them.
        bins: Bins that do not overlap.
        compared: What the detections are, in their order; None for `by_name`.
        baseline: Name of the detections that the others are compared with; None for `find_baseline`'s default: of a
            single run its ensemble.
        bootstrap: Samples behind AP's 95 % interval (`coco_metrics.interval`); fewer than 2 leave the intervals NaN.
        seed: Of the resampling.
        max_dets: How many detections of an image count; None for `max_dets_for`'s number.
        progress: Told of each set of detections.

    Raises:
        UsageError: there is no such baseline.
    """
    counted = max_dets_for(annotations, max_dets)
    compared = by_name(results) if compared is None else compared
    baseline = find_baseline(compared, baseline) if compared else None
    reference: Evaluation | None = None
    rows: dict[str, list[Row]] = {}
    for one in sorted(compared, key=lambda one: one.name != baseline):  # the baseline comes first
        evaluation = evaluate(annotations, results[one.name], max_dets=counted.value)
        rows[one.name] = rows_of(one, evaluation, reference, bins, bootstrap, seed)
        if one.name == baseline:
            reference = evaluation
        if progress:
            progress("comparing", len(rows), len(compared))
    return GtBins(bins_text(bins), counted, [row for one in compared for row in rows[one.name]], baseline)
