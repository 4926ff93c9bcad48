"""The drawing of Fig. 2: AP over the training ratio on each bin, a line per method, and the differences below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rgacli.analysis import figures, per_bin, style
from rgacli.analysis.gt_bins.compared import SEPARATELY
from rgacli.method import ENSEMBLE, parse_head_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rgacli.analysis.gt_bins.rows import Row

Limits = tuple[float, float]


def draw(rows: Sequence[Row], baseline: str | None) -> Figure:
    """Return a figure with a panel per bin: AP over ratios; with a baseline, below each the differences to it.

    Heads of a run are a line, its ensemble a diamond with a dashed line at its height; runs that were trained
    separately at several ratios are a line as well. All panels of a kind have one y axis. It need not start at 0: these
    are points, and not bars whose lengths are compared.

    Args:
        rows: Those that have an AP; at least one.
        baseline: Name of the detections that differences are to.
    """
    bins = list(dict.fromkeys(row.bin for row in rows))
    lines = list(dict.fromkeys(row.line for row in rows))
    places = sorted(dict.fromkeys(row.place for row in rows), key=_order)
    colors = _colors(rows, lines)
    told = [row for row in rows if not row.is_few]
    limits = [_limits([(row.AP, row.AP_low, row.AP_high) for row in told])]
    known = ", 95 % interval" if any(not math.isnan(row.AP_low) for row in told) else ""
    labels = [f"AP (%){known}"]
    if any(not math.isnan(row.difference) for row in told):
        limits.append(_limits([row.gain for row in told] + [(0, 0, 0)]))
        labels.append(f"AP less that of\n{_brief(baseline)}, points")

    width, columns = _layout(len(bins), len(places), len(lines))
    blocks, kinds = math.ceil(len(bins) / columns), len(limits)
    heights = [1.0, 0.75][:kinds] * blocks
    figure, axes = figures.canvas(kinds * blocks, columns, panel=(width, 2.7), height_ratios=heights)
    for axis in axes.flat:
        axis.set_visible(False)
    for index, label in enumerate(bins):
        block, column = divmod(index, columns)
        of_bin = [row for row in rows if row.bin == label]
        panels = [_Panel(axes[kinds * block + kind, column], lines, places, colors) for kind in range(kinds)]
        panels[0].entitle(of_bin[0])
        for kind, panel in enumerate(panels):
            panel.prepare(limits[kind], labels[kind] if column == 0 else None, lowest=panel is panels[-1])
            if of_bin[0].is_few:
                panel.decline()
            elif kind == 0:
                panel.draw_ap(of_bin)
            else:
                panel.draw_differences(of_bin, baseline)
    if any(map(parse_head_name, places)):
        figure.supxlabel("ratio in training, positives : negatives", fontsize="medium")
    _add_legend(figure, rows, lines, colors)
    return figure


def _layout(bins: int, places: int, lines: int) -> tuple[float, int]:
    """Return a panel's width, in inches at text of 10 points, and how many stand side by side: all, if they can."""
    room = style.current().width / style.current().scale
    ample, least = (max(2.6, 0.6 + places * max(each, 0.13 * lines)) for each in (0.6, 0.4))
    most = max(1, min(bins, int(room / least)))
    columns = math.ceil(bins / math.ceil(bins / most))  # rows of one length, where they can be
    return min(ample, max(least, room / columns)), columns


class _Panel:
    """One panel.

    Args:
        axis: matplotlib's.
        lines: All that are drawn; at a place that several have, they stand side by side.
        places: On the x axis, from left to right.
        colors: (line, place) -> colour.
    """

    def __init__(
        self, axis: Axes, lines: Sequence[str], places: Sequence[str], colors: dict[tuple[str, str], str]
    ) -> None:
        self._axis, self._lines, self._places, self._colors = axis, lines, places, colors
        axis.set_visible(True)

    def entitle(self, row: Row) -> None:
        """Name the bin, and the number of its images."""
        title = f"{per_bin.subset(row.bin)}\n({per_bin.number_of(row.images)})"
        self._axis.set_title(title, fontsize="medium")

    def prepare(self, limits: Limits, label: str | None, *, lowest: bool) -> None:
        """Set the axes: the first panel of a row has the y axis's label and ticks, the lowest one of a bin the x's."""
        axis = self._axis
        axis.set_ylim(limits)
        axis.tick_params(axis="y", left=label is not None, labelleft=label is not None)
        axis.set_ylabel(label or "", parse_math=False)  # users' names may hold a "$", which starts a formula
        axis.set_xlim(-0.5, len(self._places) - 0.5)
        names = [figures.abbreviated(place) for place in self._places]
        axis.set_xticks(range(len(names)), names, parse_math=False)
        axis.tick_params(axis="x", labelsize="small", labelbottom=lowest)
        if max(map(len, names)) > len(ENSEMBLE):
            axis.tick_params(axis="x", rotation=35)
            for tick in axis.get_xticklabels():
                tick.set(ha="right", rotation_mode="anchor")

    def decline(self) -> None:
        """Say that there are too few images to draw anything of."""
        self._axis.set_facecolor(style.current().faint)
        self._axis.text(0.5, 0.5, "too few images", ha="center", va="center", transform=self._axis.transAxes)

    def draw_ap(self, rows: Sequence[Row]) -> None:
        """Draw AP, with its intervals."""
        for row in rows:
            self._point(row, row.AP, row.AP_low, row.AP_high)
            if row.place == ENSEMBLE:
                color = self._colors[row.line, row.place]
                self._axis.axhline(100 * row.AP, color=color, linewidth=1, linestyle="--", zorder=1)
        self._connect([(row, row.AP) for row in rows])

    def draw_differences(self, rows: Sequence[Row], baseline: str | None) -> None:
        """Draw the differences, with their intervals; the baseline's is 0."""
        self._axis.axhline(0, color=style.current().muted, linewidth=1, zorder=1)
        found = [(row, 0.0 if row.name == baseline else row.difference) for row in rows]
        for row, value in found:
            self._point(row, value, row.difference_low, row.difference_high)
        self._connect(found)

    def _point(self, row: Row, value: float, low: float, high: float) -> None:
        color, x = self._colors[row.line, row.place], self._x(row)
        self._axis.vlines(x, 100 * low, 100 * high, color=color, alpha=0.6)
        if row.place == ENSEMBLE:
            self._axis.plot(x, 100 * value, "D", color=color, markersize=7, zorder=3)
        else:
            face = style.current().paper if parse_head_name(row.place) else color
            self._axis.plot(x, 100 * value, "o", color=color, markerfacecolor=face, zorder=3)

    def _connect(self, found: Sequence[tuple[Row, float]]) -> None:
        """Draw each line through its ratios."""
        for line in self._lines:
            own = [(row, value) for row, value in found if row.line == line and parse_head_name(row.place)]
            own.sort(key=lambda pair: _order(pair[0].place))
            colors = {self._colors[row.line, row.place] for row, _ in own}
            color = colors.pop() if len(colors) == 1 else style.current().muted  # heads of different colours
            xs, ys = [self._x(row) for row, _ in own], [100 * value for _, value in own]
            self._axis.plot(xs, ys, color=color, linewidth=1, alpha=0.7, zorder=2)

    def _x(self, row: Row) -> float:
        beside = [line for line in self._lines if (line, row.place) in self._colors]
        step = min(0.2, 0.6 / len(beside))
        return self._places.index(row.place) + figures.shift(beside.index(row.line), len(beside), step)


def _colors(rows: Sequence[Row], lines: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return (line, place) -> colour: one for each line or, where there is one line alone, for each head."""
    if len(lines) > 1:
        return {(row.line, row.place): style.color(lines.index(row.line)) for row in rows}
    looks = style.looks([("", row.place) for row in rows])
    return {(row.line, row.place): looks["", row.place].color for row in rows}


def _add_legend(figure: Figure, rows: Sequence[Row], lines: Sequence[str], colors: dict[tuple[str, str], str]) -> None:
    """Add a legend of the lines that the x axis does not name already, unless there is one line alone."""
    owners = {row.line: row for row in rows if row.place != row.line}
    if len(lines) < 2 or not owners:
        return
    names = {line: line if line.startswith(SEPARATELY) else figures.abbreviated(line) for line in owners}
    named = [(names[line], style.Look(colors[line, row.place], "-", "")) for line, row in owners.items()]
    figures.legend_above(figure, named)


def _brief(name: str) -> str:
    """Return a name as there is room for beside a low panel: its end, where the head stands."""
    return name if len(name) <= 20 else f"…{name[-19:]}"


def _limits(points: Sequence[tuple[float, float, float]]) -> Limits:
    """Return the y axis, in per cent, that holds all values and their intervals, with some room."""
    values = [100 * value for point in points for value in point if not math.isnan(value)]
    if not values:
        return 0, 100
    room = 0.06 * (max(values) - min(values)) or 1
    return min(values) - room, max(values) + room


def _order(place: str) -> tuple[int, float]:
    """Return a sort key: ratios with the most positives first, then the user's own names, the ensemble last."""
    if ratio := parse_head_name(place):
        return 0, ratio.negatives / ratio.positives
    return (2, 0) if place == ENSEMBLE else (1, 0)
