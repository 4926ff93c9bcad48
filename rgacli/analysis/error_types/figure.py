"""Drawing which errors each head makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rgacli.analysis import figures, per_bin, style
from rgacli.analysis.intervals import FEW_IMAGES
from rgacli.evaluation.tide import ERRORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.error_types.finding import ErrorTypes
    from rgacli.analysis.error_types.rows import Row


def draw(finding: ErrorTypes) -> Figure:
    """Return the figure: a column per bin, above what each error costs, below how often it is made."""
    chosen = style.current()
    rows = [row for row in finding.rows if row.objects]
    labels = list(dict.fromkeys(row.bin for row in rows))
    look_of = per_bin.looks(list(dict.fromkeys(row.name for row in rows)))
    width = max(2.4, chosen.width / chosen.scale / len(labels))
    figure, axes = figures.canvas(2, len(labels), panel=(width, 2.7), sharex=True, sharey="row")
    for (costs, rates), label in zip(axes.T, labels, strict=True):
        own = [row for row in rows if row.bin == label]
        _draw_costs(costs, own, look_of)
        _draw_rates(rates, own, look_of)
        costs.set_title(per_bin.heading(label, own[0].images), fontsize="medium")
        rates.set_xticks(range(len(ERRORS)), list(ERRORS))
        rates.tick_params(axis="x", labelsize="small")
    axes[0, 0].set_ylabel("mending it would gain\n(points of AP50)")
    axes[1, 0].set_ylabel(f"per 100 objects, log above 10\n(score ≥ {finding.score:g}, 95 % interval)")
    axes[1, 0].set_yscale("symlog", linthresh=10)
    axes[1, 0].set_ylim(bottom=0)
    axes[1, 0].yaxis.set_major_formatter("{x:g}")
    named = [(figures.abbreviated(name), replace(look, dashes="")) for name, look in look_of.items()]
    figures.legend_above(figure, named)
    explained = ", ".join(f"{error}: {meaning}" for error, meaning in ERRORS.items())
    figure.supxlabel(explained, fontsize="small", color=chosen.muted)
    return figure


def _draw_costs(axis: Axes, rows: Sequence[Row], look_of: Mapping[str, style.Look]) -> None:
    for row, look, x, alpha in _placed(rows, look_of):
        axis.vlines(x, 0, 100 * row.costs, color=look.color, linewidth=2, alpha=0.5 * alpha)
        axis.plot(x, 100 * row.costs, look.marker, color=look.color, markersize=5, alpha=alpha)


def _draw_rates(axis: Axes, rows: Sequence[Row], look_of: Mapping[str, style.Look]) -> None:
    for row, look, x, alpha in _placed(rows, look_of):
        if not math.isnan(row.low):
            axis.vlines(x, row.low, row.high, color=look.color, linewidth=1.5, alpha=alpha)
        axis.plot(x, row.rate, look.marker, color=look.color, markersize=5, alpha=alpha, clip_on=False, zorder=3)


def _placed(rows: Sequence[Row], look_of: Mapping[str, style.Look]) -> list[tuple[Row, style.Look, float, float]]:
    """Return each row, how it is drawn, where: heads stand side by side at each error; and how strongly."""
    step = min(0.22, 0.75 / len(look_of))
    errors, names = list(ERRORS), list(look_of)
    return [
        (
            row,
            look_of[row.name],
            errors.index(row.error) + figures.shift(names.index(row.name), len(names), step),
            0.4 if row.images < FEW_IMAGES else 1,
        )
        for row in rows
    ]
