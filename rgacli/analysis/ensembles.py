"""Ways of combining heads or detectors, side by side: AP, AP per ground-truth-count bin, and what is gained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rgacli.analysis import figures, per_bin, style
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import Evaluation, difference
from rgacli.evaluation.gt_bins import ALL, GTBin
from rgacli.progress import Progress


@dataclass(frozen=True)
class Row:
    """A head, a detector, or a way of combining them.

    Attributes:
        name: What it is called.
        AP, AP50, AP75: In [0, 1], NaN where there are no objects.
        bins: Bin label -> AP on its images.
        difference, difference_low, difference_high: AP less that of the reference, and its 95 % bootstrap interval;
            None for the reference itself.
    """

    name: str
    AP: float
    AP50: float
    AP75: float
    bins: dict[str, float]
    difference: float | None
    difference_low: float | None
    difference_high: float | None


def collect(
    evaluations: Mapping[str, Evaluation],
    bins: Sequence[GTBin],
    reference: str,
    *,
    bootstrap: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Row]:
    """Return one row per evaluation.

    Args:
        evaluations: Name -> detections evaluated, all on the same annotations.
        bins: Bins that do not overlap.
        reference: The name that the others are compared with.
        bootstrap: Samples of images behind the intervals.
        seed: Of the resampling.
        progress: Told of each row.
    """
    rows = []
    for name, evaluation in evaluations.items():
        gain = (None, None, None)
        if name != reference:
            gain = difference(evaluations[reference], evaluation, samples=bootstrap, seed=seed)
        metrics = (evaluation.overall[key] for key in ("AP", "AP50", "AP75"))
        by_bin = {label: found["AP"] for label, found in evaluation.by_bin(bins).items()}
        rows.append(Row(name, *metrics, by_bin, *gain))
        if progress:
            progress("comparing", len(rows), len(evaluations))
    return rows


def plot(rows: Sequence[Row], reference: str, images: Mapping[str, int], path: Path | str) -> None:
    """Draw the differences to the reference with their intervals, and beside them AP on all images and on each bin.

    Bins without objects are left out.

    Args:
        rows: As `collect` returns them.
        reference: A dashed line shows its AP.
        images: Bin label -> number of its images, for the titles.
        path: The PNG; the rows are saved as CSV beside it.

    Raises:
        UsageError: no image has objects.
    """
    if all(math.isnan(row.AP) for row in rows):
        raise UsageError("nothing to draw: no image has objects.")
    panels = {per_bin.subset(ALL): {row.name: row.AP for row in rows}}
    for label in rows[0].bins:
        title = f"{per_bin.subset(label)}\n({per_bin.number_of(images[label])})"
        panels[title] = {row.name: row.bins[label] for row in rows}
    panels = {title: values for title, values in panels.items() if not all(map(math.isnan, values.values()))}
    height = 1.0 + 0.3 * len(rows)
    figure, [axes] = figures.canvas(1, 1 + len(panels), panel=(2.6, height), sharey=True)
    gained, *others = axes
    gained.axvline(0, color=style.current().muted, linewidth=1, linestyle="--")
    for place, row in enumerate(rows):
        if row.difference is not None:
            gained.hlines(place, 100 * row.difference_low, 100 * row.difference_high, color=style.color(0))
            gained.plot(100 * row.difference, place, "o", color=style.color(0))
    names = [figures.abbreviated(row.name) for row in rows]
    gained.set_yticks(range(len(rows)), names, parse_math=False)  # a name may hold a "$"
    gained.invert_yaxis()
    gained.set_xlabel(f"AP less that of {figures.abbreviated(reference)} (points)\n95 % interval", parse_math=False)
    for axis, (title, values) in zip(others, panels.items(), strict=True):
        axis.plot([100 * value for value in values.values()], range(len(rows)), "o", color=style.color(1))
        axis.axvline(100 * values[reference], color=style.current().muted, linewidth=1, linestyle="--")
        axis.set_title(title, fontsize="medium")
        axis.set_xlabel("AP (%)")
    figures.save(figure, path, [flat(row) for row in rows])


def flat(row: Row) -> dict[str, str | float | None]:
    """Return a row of the CSV: bins have columns of their own, "AP 1-3"."""
    values = asdict(row)
    bins = values.pop("bins")
    return {**values, **{f"AP {label}": value for label, value in bins.items()}}
