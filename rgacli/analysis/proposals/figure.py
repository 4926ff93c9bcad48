"""Drawing the positive proposals against the objects of an image (paper, Fig. 1b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rgacli.analysis import figures, per_bin, style
from rgacli.analysis.intervals import FEW_IMAGES, estimate_of
from rgacli.evaluation.gt_bins import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.proposals.finding import Proposals
    from rgacli.analysis.proposals.rows import Counted

Looks = Mapping[tuple[str, str], style.Look]
"""Run and bin (or ALL) -> how it is drawn."""

_MANY = 2000
"""Dots that a vector file had better hold as a picture."""


def draw(finding: Proposals) -> Figure:
    """Return the figure: positives against objects, and per bin; with several checkpoints, below, against these.

    With one run each bin has a colour, with several each run.
    """
    chosen = style.current()
    several = any(len(own) > 1 for own in finding.runs.values())
    figure, axes = figures.canvas(1 + several, 2, panel=(chosen.width / chosen.scale / 2, 3.2))
    bins = [label for label in finding.rows_of(finding.counted[0]) if label != ALL and finding.images_in(label)]
    looks = _looks(finding, bins)
    last = [own[-1] for own in finding.runs.values()]
    _draw_images(axes[0, 0], finding, last, looks)
    _draw_boxes(axes[0, 1], finding, last, bins, looks)
    if several:
        _draw_history(axes[1, 0], finding, bins, "mean", looks)
        axes[1, 0].set_ylabel("mean positive proposals per image,\n95 % interval")
        axes[1, 0].set_ylim(bottom=0)
        _draw_history(axes[1, 1], finding, [ALL], "spearman", looks)
        axes[1, 1].set_ylabel("rank correlation of objects\nand positives, 95 % interval")
    _legend(figure, finding, bins if several else [], looks)
    return figure


def _draw_images(axis: Axes, finding: Proposals, last: Sequence[Counted], looks: Looks) -> None:
    """Draw each image as a dot, and the line of as many positives to an object as there are on average."""
    many = sum(len(own.records) for own in last) > _MANY
    for own in last:
        for label, records in finding.images_of(own).items():
            look = looks.get((own.run, label)) or style.Look(style.current().muted, "-", "o")
            axis.plot(
                [record["gt_count"] for record in records],
                [record["positives"] for record in records],
                look.marker,
                color=look.color,
                alpha=_alpha(len(own.records)),
                markersize=4,
                markeredgewidth=0,
                rasterized=many,
            )
        row = finding.rows_of(own)[ALL]
        most = max((record["gt_count"] for record in own.records), default=0)
        axis.plot([0, most], [0, most * row.per_object], color=looks[own.run, ALL].color, linewidth=1.2, zorder=3)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("objects in the image (line: mean positives per object)")
    axis.set_ylabel("positive proposals in the image")


def _draw_boxes(axis: Axes, finding: Proposals, last: Sequence[Counted], bins: Sequence[str], looks: Looks) -> None:
    """Draw the distribution per bin: boxes of the middle half of the images, whiskers of the middle 90 %; dots."""
    # Boxes rather than overlaid histograms: they stay legible from three images to thousands, and for many bins.
    spread, width = np.random.default_rng(0), 0.75 / len(last)
    for index, own in enumerate(last):
        shift = figures.shift(index, len(last), width)
        for position, label in enumerate(bins):
            values = [record["positives"] for record in finding.images_of(own).get(label, [])]
            axis.plot(
                position + shift + width * spread.uniform(-0.35, 0.35, len(values)),
                values,
                ".",
                color=looks[own.run, label].color,
                alpha=_alpha(len(values)),
                markeredgewidth=0,
                clip_on=False,  # whole dots at 0
                rasterized=len(values) > _MANY,
            )
            lines = {"color": style.current().ink}
            axis.boxplot(
                [values],
                positions=[position + shift],
                widths=0.8 * width,
                whis=(5, 95),
                showfliers=False,
                boxprops=lines,
                whiskerprops=lines,
                capprops=lines,
                medianprops={"color": style.current().ink, "linewidth": 2},
            )
    figures.bin_ticks(axis, {label: finding.images_in(label) for label in bins})
    axis.set_ylabel("positive proposals per image")
    axis.set_ylim(bottom=0)


def _draw_history(axis: Axes, finding: Proposals, bins: Sequence[str], name: str, looks: Looks) -> None:
    """Draw a statistic of the bins with its interval, checkpoint by checkpoint."""
    names = list(dict.fromkeys(own.checkpoint for own in finding.counted))
    by_epoch = all(own.epoch is not None for own in finding.counted)
    for index, (run, counted) in enumerate(finding.runs.items()):
        own = sorted(counted, key=lambda each: each.epoch) if by_epoch else counted
        x = np.array([each.epoch if by_epoch else names.index(each.checkpoint) for each in own], dtype=float)
        x += figures.shift(index, len(finding.runs), 0.01 * np.ptp(x))  # intervals stand side by side
        for label in bins:
            look = looks[run, label]
            values, low, high = np.array([estimate_of(finding.rows_of(each)[label], name) for each in own]).T
            axis.plot(x, values, color=look.color, linestyle=look.dashes, marker=look.marker, markersize=5)
            if finding.images_in(label) >= FEW_IMAGES:
                axis.vlines(x, low, high, color=look.color, linewidth=1.2)
    if by_epoch:
        axis.xaxis.get_major_locator().set_params(integer=True)
    else:
        axis.set_xticks(range(len(names)), [figures.abbreviated(each) for each in names], parse_math=False)
    axis.set_xlabel(
        "epoch (0: before the training)" if by_epoch and "initial" in names else "epoch" if by_epoch else ""
    )


def _looks(finding: Proposals, bins: Sequence[str]) -> Looks:
    """Return how each run's bins are drawn, and all its images."""
    runs = list(finding.runs)
    found = style.looks([(run, label) for run in runs for label in bins])
    for index, run in enumerate(runs):
        found[run, ALL] = style.Look(style.current().ink if len(runs) == 1 else style.color(index), "-", "o")
    return found


def _legend(figure: Figure, finding: Proposals, bins: Sequence[str], looks: Looks) -> None:
    """Say above the figure what colours and dashes are, where the axes do not."""
    runs = finding.runs if len(finding.runs) > 1 else ()
    named = [(figures.abbreviated(run), style.Look(looks[run, ALL].color, "-", "")) for run in runs]
    first = next(iter(finding.runs))
    for label in bins:
        look = looks[first, label]
        named.append((per_bin.subset(label), replace(look, color=style.current().ink) if runs else look))
    if named:
        figures.legend_above(figure, named)


def _alpha(dots: int) -> float:
    return min(0.8, max(0.1, 50 / max(1, dots)))
