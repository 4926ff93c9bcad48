"""AP of every head and of the ensemble per ground-truth-count bin (paper, Sec. 1 and Fig. 2)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar

from rgacli.analysis import figures, style
from rgacli.analysis.finding import Finding, Table
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import evaluate, interval
from rgacli.evaluation.gt_bins import GTBin, assign, bins_text
from rgacli.evaluation.max_dets import MaxDets, max_dets_for
from rgacli.method import ENSEMBLE, parse_head_name
from rgacli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALL = "all"


@dataclass(frozen=True)
class Row:
    """One set of detections on the images of one bin.

    Attributes:
        name: A head's ("1:9", "ensemble", or "RUN 1:9" of several runs), or whatever a user calls the detections.
        bin: The bin's label, or "all".
        images: Number of images.
        objects: Number of non-crowd objects in them.
        AP, AP50, AP75: COCO's, in [0, 1]; NaN where there are no objects.
        AP_low, AP_high: AP's 95 % interval; NaN where unknown.
    """

    name: str
    bin: str
    images: int
    objects: int
    AP: float
    AP50: float
    AP75: float
    AP_low: float
    AP_high: float

    @property
    def run(self) -> str:
        """What stands before the head in the name; "" where nothing does, and of a name that is no head's."""
        return self._parts[0]

    @property
    def head(self) -> str:
        """The head in the name; of a name that is no head's, all of it."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        run, _, head = self.name.rpartition(" ")
        return (run, head) if head == ENSEMBLE or parse_head_name(head) else ("", self.name)


@dataclass(frozen=True)
class GtBins(Finding):
    """AP by the number of objects in the image.

    Attributes:
        bins: As `parse_bins` reads them.
        max_dets: How many detections of an image count, and why.
        rows: Per set of detections one for all images, then one per bin.
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

    @property
    def about(self) -> dict[str, Any]:
        """The bins and the number of detections that count."""
        return {"bins": self.bins, "max_dets": asdict(self.max_dets)}

    def conclusion(self) -> str:
        """Say which set of detections is best on each bin."""
        best = []
        for label in dict.fromkeys(row.bin for row in self._drawn):
            row = max((row for row in self._drawn if row.bin == label), key=lambda row: row.AP)
            best.append(f"{_subset(label)}: {row.name} ({row.AP:.3f})")
        return f"best AP: {', '.join(best)}"

    def tables(self) -> list[Table]:
        """Return a table per run."""
        by_run: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            shown = None if math.isnan(row.AP_low) else f"{row.AP_low:.2f}–{row.AP_high:.2f}"
            by_run[row.run].append({**asdict(row), "head": row.head, "interval": shown})
        intervals = [] if all(math.isnan(row.AP_low) for row in self.rows) else ["interval"]
        columns = ("head", "bin", "images", "objects", "AP", *intervals, "AP50", "AP75")
        headings = {column: column for column in columns} | ({"interval": "95 %"} if intervals else {})
        return [
            Table(f"{self.title}: {run}" if run else self.title, headings, rows, group="head")
            for run, rows in by_run.items()
        ]

    def points(self) -> list[dict[str, Any]]:
        """Return the rows that have an AP."""
        if not self._drawn:
            raise UsageError("nothing to draw: there are no detections, or no image has objects.")
        return list(map(asdict, self._drawn))

    def draw(self) -> Figure:
        """Draw Fig. 2: a panel per bin, AP over the heads; the ensemble is a diamond with a dashed line at its height.

        Heads of one run share a colour. Bins without objects are left out.
        """
        drawn = self._drawn
        bins = list(dict.fromkeys(row.bin for row in drawn))
        runs = list(dict.fromkeys(row.run for row in drawn))
        heads = sorted(dict.fromkeys(row.head for row in drawn), key=_head_order)

        width = max(2.6, 0.6 + len(heads) * max(0.5, 0.15 * len(runs)))
        figure, axes = figures.panels(len(bins), panel=(width, 2.8))
        for axis, label in zip(axes, bins, strict=True):
            _draw_bin(axis, [row for row in drawn if row.bin == label], runs, heads)
        axes[0].set_ylabel("AP (%)" if all(math.isnan(row.AP_low) for row in drawn) else "AP (%), 95 % interval")
        if any(map(parse_head_name, heads)):
            figure.supxlabel("sampling ratio, positives : negatives", fontsize="medium")
        if len(runs) > 1:
            for run, color in _colored(runs):
                if run:
                    axes[0].plot([], [], color=color, linewidth=3, label=figures.abbreviated(run))
            figures.plain_legend(figure, loc="outside upper center", ncols=3)
        return figure

    @property
    def _drawn(self) -> list[Row]:
        return [row for row in self.rows if not math.isnan(row.AP)]


def collect(
    annotations: Mapping[str, Any],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    bins: Sequence[GTBin],
    *,
    bootstrap: int = 200,
    seed: int = 0,
    max_dets: int | None = None,
    progress: Progress | None = None,
) -> GtBins:
    """Evaluate every set of detections on all images and on every bin.

    Args:
        annotations: A COCO dict, as `rgacli.data.annotations.load_annotations` returns it.
        results: Name -> detections, as `rgacli.evaluation.results.load_results` returns them.
        bins: Bins that do not overlap.
        bootstrap: Samples behind AP's 95 % interval (`coco_metrics.interval`); fewer than 2 leave the intervals NaN.
        seed: Of the resampling.
        max_dets: How many detections of an image count; None for `max_dets_for`'s number.
        progress: Told of each set of detections.
    """
    counted = max_dets_for(annotations, max_dets)
    rows = []
    for done, (name, detections) in enumerate(results.items(), start=1):
        evaluation = evaluate(annotations, detections, max_dets=counted.value)
        counts = evaluation.gt_counts
        groups = {ALL: list(counts), **assign(counts, bins)}
        metrics = {ALL: evaluation.overall, **evaluation.by_bin(bins)}
        for label, images in groups.items():
            low, high = interval(evaluation, images, samples=bootstrap, seed=seed)
            ap, ap50, ap75 = (metrics[label][key] for key in ("AP", "AP50", "AP75"))
            rows.append(
                Row(name, label, len(images), sum(counts[image] for image in images), ap, ap50, ap75, low, high)
            )
        if progress:
            progress("comparing", done, len(results))
    return GtBins(bins_text(bins), counted, rows)


def _draw_bin(axis: Axes, rows: Sequence[Row], runs: Sequence[str], heads: Sequence[str]) -> None:
    found = {(row.run, row.head): row for row in rows}
    step = min(0.2, 0.6 / len(runs))  # runs stand side by side at each head
    for index, (run, color) in enumerate(_colored(runs)):
        shift = (index - (len(runs) - 1) / 2) * step
        ratios = []
        for position, head in enumerate(heads):
            if (run, head) not in found:
                continue
            row = found[run, head]
            x, y = position + shift, 100 * row.AP
            axis.vlines(x, 100 * row.AP_low, 100 * row.AP_high, color=color, alpha=0.6)
            if head == ENSEMBLE:
                axis.axhline(y, color=color, linewidth=1, linestyle="--", zorder=1)
                axis.plot(x, y, "D", color=color, markersize=8)
            else:
                axis.plot(x, y, "o", color=color, markerfacecolor="white", zorder=3)
            if parse_head_name(head):
                ratios.append((x, y))
        axis.plot(*zip(*ratios, strict=True), color=color, linewidth=1, alpha=0.6)

    label, images = rows[0].bin, rows[0].images
    axis.set_title(f"{_subset(label)}\n({images} {'image' if images == 1 else 'images'})", fontsize="medium")
    axis.set_xlim(-0.5, len(heads) - 0.5)
    names = [figures.abbreviated(head) for head in heads]
    axis.set_xticks(range(len(heads)), names, parse_math=False)  # users' names may hold a "$", which starts a formula
    axis.tick_params(axis="x", labelsize="small")
    if max(map(len, heads)) > len(ENSEMBLE):
        axis.tick_params(axis="x", rotation=35)
        for tick in axis.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")


def _subset(label: str) -> str:
    return "all images" if label == ALL else "1 object" if label == "1" else f"{label} objects"


def _head_order(head: str) -> tuple[int, float]:
    """Return a sort key: ratios with the most positives first, then the user's own names, the ensemble last."""
    if ratio := parse_head_name(head):
        return 0, ratio.negatives / ratio.positives
    return (2, 0) if head == ENSEMBLE else (1, 0)


def _colored(runs: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(runs, cycle(style.current().palette), strict=False)
