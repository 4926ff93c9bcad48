"""Drawing a run at a glance: a panel for each sentence, which stands above it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgacli.analysis import figures, per_bin, smoothing, style
from rgacli.analysis.at_a_glance.rows import FALSE, IN_TRAINING, OF_ENSEMBLE, OF_HEADS, Row, other_of
from rgacli.analysis.words import signed
from rgacli.wording import sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.at_a_glance.finding import AtAGlance, Curve
    from rgacli.analysis.at_a_glance.sentences import Claim

_LARGE, _SMALL = 32, 49  # letters in a line of a headline and of numbers
_LINE = 1.25  # of its text's size


def draw(finding: AtAGlance) -> Figure:
    """Return the figure, of as many panels as there are sentences."""
    claims = finding.claims
    names = list(dict.fromkeys([each.name for each in finding.rates] or [finding.curve.drawn.head]))
    looks = per_bin.looks(names)
    drawing: Mapping[str, Callable[[Axes], None]] = {
        IN_TRAINING: lambda axis: _draw_training(axis, finding.curve, looks),
        OF_HEADS: lambda axis: _draw_heads(axis, finding, looks),
        OF_ENSEMBLE: lambda axis: _draw_ensemble(axis, finding.rows_of(OF_ENSEMBLE), looks),
    }
    figure, axes = figures.panels(len(claims), panel=(3.66, 3.9))
    _entitle(axes, list(claims.values()))
    for axis, panel in zip(axes, claims, strict=True):
        drawing[panel](axis)
    letters = int(figure.get_figwidth() / (0.075 * style.current().scale))
    note = "\n".join(line for text in _notes(finding.about) for line in _wrapped(text, letters))
    figure.supxlabel(note, fontsize="small", color=style.current().muted, parse_math=False)
    return figure


def _notes(about: Mapping[str, Any]) -> tuple[str, str]:
    where = f"{figures.abbreviated(about['run'])} on {about['split']}, {per_bin.number_of(about['images'])}"
    return (
        f"{where}. Heads are named by their positives:negatives in training.",
        "95 % intervals are over images, of positives over iterations: another training may bring other numbers.",
    )


def _entitle(axes: Sequence[Axes], claims: Sequence[Claim]) -> None:
    """Write each claim above its panel: headlines on one level, and numbers below them."""
    chosen = style.current()
    small, large = 8.2 * chosen.scale, 11 * chosen.scale
    headlines = [_wrapped(sentence(claim.headline).removesuffix("."), _LARGE) for claim in claims]
    numbers = [_wrapped(sentence(claim.numbers), _SMALL) for claim in claims]
    most = max(map(len, numbers))
    for axis, headline, own in zip(axes, headlines, numbers, strict=True):
        place = dict(xycoords="axes fraction", textcoords="offset points", va="top", parse_math=False)
        below = (most * small + 6) * _LINE
        axis.annotate("\n".join(own), (0, 1), (0, below), fontsize=small, color=chosen.muted, **place)
        axis.set_title("\n".join(headline), loc="left", fontsize=large, fontweight="bold", pad=below + 4)


def _wrapped(text: str, letters: int) -> list[str]:
    return textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), letters)


def _draw_training(axis: Axes, curve: Curve, looks: Mapping[str, style.Look]) -> None:
    """Draw the positives of a head, what is missing of those that its ratio asks for, and the means that are told."""
    chosen, drawn, x = style.current(), curve.drawn, curve.log.iterations
    look, smooth = looks[drawn.head], smoothing.smoothed(curve.values)
    axis.fill_between(x, smooth, drawn.quota, where=smooth < drawn.quota, color=chosen.faint, linewidth=0)
    axis.plot(x, smooth, color=look.color, linewidth=2)
    axis.axhline(drawn.quota, color=chosen.muted, linestyle=(0, (5, 3)), linewidth=1)
    axis.text(x[-1], 1.01 * drawn.quota, f"{drawn.quota} asked for", ha="right", va="bottom", color=chosen.muted)
    if drawn.early < 0.8 * drawn.quota:  # else there is no room
        axis.text(0.02 * x[-1], 0.97 * drawn.quota, "missing", ha="left", va="top", color=chosen.muted)
    for start, end, value, side in (
        (0, drawn.early_until, drawn.early, "left"),
        (drawn.late_from, x[-1], drawn.late, "right"),
    ):
        axis.hlines(value, start, end, color=chosen.ink, linewidth=3, zorder=3)
        place = (0.02 * x[-1] if side == "left" else end, value - 0.04 * drawn.quota)
        axis.text(*place, f"{value:.1f}", ha=side, va="top", fontweight="bold")
    axis.set_xlim(0, x[-1])
    axis.set_ylim(0, 1.12 * drawn.quota)
    axis.grid(visible=False)
    axis.set_xlabel("iteration of the training")
    axis.set_ylabel("positives per image")


def _draw_heads(axis: Axes, finding: AtAGlance, looks: Mapping[str, style.Look]) -> None:
    """Draw what each head finds and how often it is wrong, as bars below each other."""
    chosen = style.current()
    ticks, place = {}, 0.0
    for quantity in dict.fromkeys(each.quantity for each in finding.rates):
        heading = f"{quantity} per 100 objects" if quantity == FALSE else f"{quantity} of 100"
        axis.annotate(heading, (0, place), (4, 0), textcoords="offset points", va="center", color=chosen.muted)
        for each in (each for each in finding.rates if each.quantity == quantity):
            place += 1
            ticks[place] = each.name
            axis.barh(place, each.value, height=0.78, color=looks[each.name].color, alpha=0.85)
            end = each.value
            if not math.isnan(each.low):
                axis.hlines(place, each.low, each.high, color=chosen.muted, linewidth=1.5)
                end = each.high
            axis.annotate(
                f"{each.value:.0f}", (end, place), (4, 0), textcoords="offset points", va="center", fontweight="bold"
            )
        place += 1.4
    axis.set_yticks(list(ticks), list(ticks.values()))
    axis.set_ylim(place - 0.8, -0.6)
    axis.set_xlim(0, 1.12 * axis.get_xlim()[1])
    axis.grid(visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(f"from a score of {finding.about['score']:g} on")


def _draw_ensemble(axis: Axes, rows: Sequence[Row], looks: Mapping[str, style.Look]) -> None:
    """Draw how far the ensemble's AP is from each head's: right of the line it is the better."""
    chosen = style.current()
    axis.axvline(0, color=chosen.ink, linewidth=1.2)
    for place, row in enumerate(rows):
        color = looks[row.other].color if row.other in looks else chosen.ink
        if not math.isnan(row.low):
            axis.hlines(place, row.low, row.high, color=color, linewidth=4, alpha=0.85)
        axis.plot(row.difference, place, "o", color=color, markersize=10)
        axis.annotate(
            signed(row.difference),
            (row.difference, place),
            (0, 10 * chosen.scale),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
    ends = np.array([row.change for row in rows])
    ends = np.array([0, np.nanmin(ends), np.nanmax(ends)])
    reach = np.ptp(ends) or 1e-3
    axis.set_xlim(ends.min() - 0.3 * reach, ends.max() + 0.3 * reach)
    for text, side, offset in (("worse", "right", -6), ("better", "left", 6)):
        axis.annotate(
            text, (0, -0.75), (offset, 0), textcoords="offset points", ha=side, va="center", color=chosen.muted
        )
    axis.set_yticks(range(len(rows)), [f"than\n{figures.abbreviated(other_of(row))}" for row in rows])
    axis.set_ylim(len(rows) - 0.4, -1)
    axis.xaxis.get_major_locator().set_params(nbins=4)
    axis.grid(visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("AP of the ensemble less the other's")
