"""Drawing the heads' scores and their differences (paper, Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rgacli.analysis import figures, style
from rgacli.analysis.intervals import Estimate
from rgacli.analysis.scores.tally import CELLS, FAR, PAPERS_SHARE, share_from
from rgacli.evaluation.gt_bins import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.scores.finding import Scores
    from rgacli.analysis.scores.rows import Row

_COARSE = 5  # cells of the histogram to one step of the drawing

Pairs = Mapping[tuple[str, tuple[str, ...]], style.Look]
"""Run and two heads -> how they are drawn."""


def draw(finding: Scores) -> Figure:
    """Return the figure: above the two panels of Fig. 6 on all images, below what is found in each bin."""
    chosen = style.current()
    figure, axes = figures.canvas(2, 2, panel=(chosen.width / chosen.scale / 2, 3.0))
    pairs, rows = _pair_looks(finding), finding.pairs()
    _draw_scores(axes[0, 0], finding)
    _draw_distances(axes[0, 1], finding, pairs)
    _draw_bins(axes[1, 0], rows, [row.difference for row in rows], pairs)
    axes[1, 0].axhline(0, color=chosen.muted, linewidth=1, zorder=1)
    heads = list(dict.fromkeys(row.name for row in rows))
    what = heads[0] if len(heads) == 1 else "more positives − fewer"
    axes[1, 0].set_ylabel(f"mean difference of scores\n{what}, 95 % interval")
    _draw_bins(axes[1, 1], rows, [Estimate(*(100 * value for value in row.far)) for row in rows], pairs)
    axes[1, 1].set_ylabel(f"outputs that differ by more\nthan {FAR:g} (%), 95 % interval")
    axes[1, 1].set_ylim(0, 105)
    return figure


def _draw_scores(axis: Axes, finding: Scores) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    looks = style.looks([(own.run, head) for own in finding.found for head in own.heads])
    edges = np.linspace(0, 1, CELLS // _COARSE + 1)
    for own in finding.found:
        counts = own.by_class.overall.scores.reshape(len(own.heads), -1, _COARSE).sum(axis=2)
        for head, values in zip(own.heads, counts, strict=True):
            look, shares = looks[own.run, head], 100 * values / max(1, values.sum())
            drawn = {"color": look.color, "linestyle": look.dashes, "linewidth": 1.5, "label": head}
            axis.stairs(np.where(shares > 0, shares, np.nan), edges, baseline=None, **drawn)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xlim(0, 1)
    axis.set_xlabel("score")
    axis.set_ylabel(f"outputs per {_COARSE / CELLS:g} of score (%)")
    if len(finding.found) == 1:
        low, high = axis.get_ylim()
        axis.set_ylim(low, high * (high / low) ** 0.25)  # room above for the legend: curves are high on either side
        figures.plain_legend(axis, loc="upper center", ncols=4, title="head, by its sampling ratio")
    else:
        _runs_legend(axis.figure, looks)


def _draw_distances(axis: Axes, finding: Scores, pairs: Pairs) -> None:
    chosen = style.current()
    edges, reach = np.linspace(0, 1, CELLS + 1), 2 * FAR
    for own in finding.found:
        for heads, counts in zip(own.pairs, own.by_class.overall.distances, strict=True):
            look, shares = pairs[own.run, heads], 100 * share_from(counts)
            axis.plot(edges, shares, color=look.color, linestyle=look.dashes)
            reach = max(reach, edges[np.flatnonzero(shares >= 0.1)].max(initial=0))
    axis.axvline(FAR, color=chosen.muted, linewidth=1, linestyle=":", zorder=1)
    for row in finding.pairs():
        if row.bin == ALL:
            look = pairs[row.run, row.heads]
            axis.plot(FAR, 100 * row.share, look.marker, color=look.color, zorder=3)
    paper = f"the paper's, on COCO: {100 * PAPERS_SHARE:.1f} % above {FAR:g}"
    axis.plot(FAR, 100 * PAPERS_SHARE, "x", color=chosen.muted, markersize=8, markeredgewidth=2, label=paper, zorder=4)
    axis.set_xlim(0, min(1, reach + 0.02))
    axis.set_xlabel("absolute difference of two heads' scores")
    axis.set_ylabel("outputs that differ by more (%)")
    by_heads = {heads: look for (_, heads), look in pairs.items()}
    if len(finding.found) == 1 or len(by_heads) > 1:
        for heads, look in by_heads.items():
            own = look.color if len(finding.found) == 1 else chosen.ink
            axis.plot([], [], look.marker, color=own, linestyle=look.dashes, label=" and ".join(heads))
    lines = len(axis.get_legend_handles_labels()[0])
    axis.set_ylim(0, 100 + 10 * lines)  # above are the legend's
    axis.set_yticks(range(0, 101, 20))
    figures.plain_legend(axis, loc="upper right", borderaxespad=0)


def _draw_bins(axis: Axes, rows: Sequence[Row], values: Sequence[Estimate], pairs: Pairs) -> None:
    """Draw a value of every two heads, with its interval, in each bin; bins of few images are greyed."""
    chosen = style.current()
    bins = {row.bin: row for row in rows}
    step = min(0.2, 0.6 / len(pairs))  # runs and pairs stand side by side
    places = {pair: figures.shift(index, len(pairs), step) for index, pair in enumerate(pairs)}
    for row, (value, low, high) in zip(rows, values, strict=True):
        pair = (row.run, row.heads)
        x, look = list(bins).index(row.bin) + places[pair], pairs[pair]
        color, inside = (chosen.muted, chosen.paper) if row.is_few else (look.color, look.color)
        axis.vlines(x, low, high, color=color, linewidth=1.5)
        axis.plot(x, value, look.marker, color=color, markerfacecolor=inside, markersize=6)
    figures.bin_ticks(axis, {label: row.images for label, row in bins.items()})


def _pair_looks(finding: Scores) -> Pairs:
    """Return how every two heads are drawn: of ink if there are no others, else as runs or in colours no head has."""
    things = [(own.run, heads) for own in finding.found for heads in own.pairs]
    looks = style.looks([(run, " ".join(heads)) for run, heads in things])
    found = dict(zip(things, looks.values(), strict=True))
    if len(finding.found) > 1:
        return found
    if len(things) == 1:
        return {thing: style.Look(style.current().ink, "-", "D") for thing in things}
    first = len(finding.found[0].heads)
    return {
        thing: style.Look(style.color(first + index), look.dashes, look.marker)
        for index, (thing, look) in enumerate(found.items())
    }


def _runs_legend(figure: Figure, looks: Mapping[tuple[str, str], style.Look]) -> None:
    """Say above the figure which runs the colours are, and which heads the dashes."""
    runs = {run: look.color for (run, _), look in looks.items()}
    heads = {head: look.dashes for (_, head), look in looks.items()}
    named = [(figures.abbreviated(run), style.Look(color, "-", "")) for run, color in runs.items()]
    named += [(head, style.Look(style.current().ink, dashes, "")) for head, dashes in heads.items()]
    figures.legend_above(figure, named)
