"""Drawing how scores compare with the share that is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rgacli.analysis import figures, per_bin, style
from rgacli.analysis.intervals import FEW_IMAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.calibration.finding import Calibration
    from rgacli.analysis.calibration.rows import Point, Row

FEW_DETECTIONS = 20
"""Fewer show little of an interval of scores."""
FAINT = f"faint: fewer than {FEW_DETECTIONS} detections, or {FEW_IMAGES} images"


def draw(finding: Calibration) -> Figure:
    """Return the figure: a reliability diagram per bin, and the bias of each head in each bin."""
    chosen = style.current()
    labels = list(dict.fromkeys(row.bin for row in finding.rows if row.detections))
    look_of = per_bin.looks(list(dict.fromkeys(row.name for row in finding.rows)))
    figure, axes = figures.panels(len(labels) + 1, panel=(0.99 * chosen.width / chosen.scale / 3, 3.1))
    for axis, label in zip(axes, labels, strict=False):
        images = next(row.images for row in finding.rows if row.bin == label)
        few = math.inf if images < FEW_IMAGES else FEW_DETECTIONS
        _draw_diagram(axis, [each for each in finding.curves if each.bin == label], look_of, few)
        axis.set_title(per_bin.heading(label, images), fontsize="medium")
    _draw_biases(axes[-1], [row for row in finding.rows if row.bin in labels], look_of)
    named = [(figures.abbreviated(name), look) for name, look in look_of.items()]
    figures.legend_above(figure, [*named, (FAINT, style.Look(f"{chosen.muted}59", "", "o"))])
    return figure


def _draw_diagram(axis: Axes, points: Sequence[Point], look_of: Mapping[str, style.Look], few: float) -> None:
    """Draw the points; those of fewer detections than `few` are faint."""
    chosen = style.current()
    axis.plot([0, 1], [0, 1], color=chosen.muted, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for name, look in look_of.items():
        own = [each for each in points if each.name == name]
        sure = [each for each in own if each.detections >= few]
        line = [[each.confidence for each in sure], [each.accuracy for each in sure]]
        axis.plot(*line, color=look.color, linestyle=look.dashes, linewidth=1.5)
        for each in own:
            faint = each.detections < few
            size = 12 + 60 * math.sqrt(each.detections / max(other.detections for other in points))
            axis.scatter(
                each.confidence,
                each.accuracy,
                s=chosen.scale * (12 if faint else size),
                color=look.color,
                marker=look.marker,
                alpha=0.3 if faint else 0.85,
                linewidths=0,
                zorder=3,
            )
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score", ylabel="share that is right (IoU ≥ 0.5)")


def _draw_biases(axis: Axes, rows: Sequence[Row], look_of: Mapping[str, style.Look]) -> None:
    labels = list(dict.fromkeys(row.bin for row in rows))
    step = min(0.2, 0.7 / len(look_of))
    for index, (name, look) in enumerate(look_of.items()):
        shift = figures.shift(index, len(look_of), step)
        for row in (row for row in rows if row.name == name and row.detections):
            x, alpha = labels.index(row.bin) + shift, 0.35 if row.images < FEW_IMAGES else 1
            axis.vlines(x, row.bias_low, row.bias_high, color=look.color, linewidth=1.5, alpha=alpha)
            axis.plot(x, row.bias, look.marker, color=look.color, markersize=5, alpha=alpha)
    axis.axhline(0, color=style.current().muted, linewidth=1, zorder=1)
    axis.set_xticks(range(len(labels)), labels)
    axis.set(xlim=(-0.5, len(labels) - 0.5), xlabel="objects in the image", ylabel="mean score − share that is right")
    axis.set_title("bias, with 95 % interval", fontsize="medium")
