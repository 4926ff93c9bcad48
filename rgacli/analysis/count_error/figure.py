"""Drawing how the error of a count depends on the score from which detections count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rgacli.analysis import figures, per_bin, style
from rgacli.analysis.intervals import FEW_IMAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.count_error.finding import CountError
    from rgacli.analysis.count_error.rows import Point, Row

_DOTTED = (0, (2, 2))
_MOST_BANDS = 4  # more hide each other
_HIGHEST = 150  # % above the true count


def draw(finding: CountError) -> Figure:
    """Return the figure: a panel per bin, the error over the score, and the right scores with their intervals."""
    chosen = style.current()
    labels = list(dict.fromkeys(point.bin for point in finding.curves))
    look_of = per_bin.looks(list(dict.fromkeys(row.name for row in finding.rows)))
    columns = 2 if len(labels) in (2, 4) else 3
    width = 0.99 * chosen.width / chosen.scale / columns
    figure, axes = figures.panels(len(labels), panel=(width, min(0.75 * width, 3.2)), sharey=True)
    for axis, label in zip(axes, labels, strict=True):
        rows = {row.name: row for row in finding.rows if row.bin == label}
        images = next(iter(rows.values())).images
        strength = 0.4 if images < FEW_IMAGES else 1
        _draw_curves(axis, [point for point in finding.curves if point.bin == label], look_of, strength)
        _draw_right_scores(axis, rows, look_of, strength)
        axis.axhline(0, color=chosen.ink, linewidth=1, zorder=2)
        axis.axvline(finding.score, color=chosen.muted, linewidth=1, linestyle=_DOTTED, zorder=1)
        axis.set_title(per_bin.heading(label, images), fontsize="medium")
        axis.set(xlim=(0, 1), ylim=(-105, _HIGHEST))
    figure.supxlabel("score from which detections count", fontsize="medium")
    figure.supylabel("detections − objects (% of the objects)", fontsize="medium")
    named = [(figures.abbreviated(name), look) for name, look in look_of.items()]
    figures.legend_above(figure, [*named, (f"score {finding.score:g}", style.Look(chosen.muted, _DOTTED, ""))])
    return figure


def _draw_curves(axis: Axes, points: Sequence[Point], look_of: Mapping[str, style.Look], strength: float) -> None:
    for name, look in look_of.items():
        own = [point for point in points if point.name == name]
        scores = [point.score for point in own]
        line = dict(color=look.color, linestyle=look.dashes, linewidth=1.5, alpha=strength)
        axis.plot(scores, [100 * point.error for point in own], **line)
        if own and len(look_of) <= _MOST_BANDS:
            low, high = ([100 * end for end in ends] for ends in zip(*((p.low, p.high) for p in own), strict=True))
            axis.fill_between(scores, low, high, color=look.color, alpha=0.15 * strength, linewidth=0)


def _draw_right_scores(axis: Axes, rows: Mapping[str, Row], look_of: Mapping[str, style.Look], strength: float) -> None:
    for name, look in look_of.items():
        row = rows[name]
        if not math.isnan(row.right_score):
            axis.hlines(0, row.right_low, row.right_high, color=look.color, linewidth=4, alpha=0.5 * strength, zorder=3)
            axis.plot(row.right_score, 0, look.marker, color=look.color, markersize=7, alpha=strength, zorder=4)
