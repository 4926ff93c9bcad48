"""The figure of what R-CNN heads send into the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rgacli.analysis import figures, smoothing, style
from rgacli.analysis.gradients.probes import ANGLE, CALLED, HEADS, SUM, SUM_OF_NORMS, Probes
from rgacli.analysis.steadiness import mean_of_blocks
from rgacli.analysis.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS = {SUM: "norm of the sum", SUM_OF_NORMS: "sum of the norms", "box": "box branch", "mask": "mask branch"}
_DASHED = (0, (4, 2))


def draw(probes: Sequence[Probes], *, measured: str) -> Figure:
    """Return norms beside the angle, of the heads and, with a mask head, of the branches.

    One run has a colour for each part, and of its parts' sum and norms it is ink's. Several have a colour each, and of
    their parts no more than the sum is drawn.

    Args:
        probes: Of each run.
        measured: What checkpoints were measured on; "" of what trainings logged, over iterations.
    """
    groups = [group for group in CALLED if any(group in one.groups for one in probes)]
    has_angle = {group: any(ANGLE in one.of(group) for one in probes if group in one.groups) for group in groups}
    figure, axes = figures.panels(len(groups) + sum(has_angle.values()), panel=(4.1, 3.0))
    free = iter(axes)
    for group in groups:
        norms, angle = next(free), next(free) if has_angle[group] else None
        norms.set_title(f"{CALLED[group]}, at {probes[0].weight}", fontsize="medium")
        norms.set_ylabel("Frobenius norm of the gradient")
        having = [one for one in probes if group in one.groups]
        (_draw_batches if measured else _draw_training)(norms, angle, having, group, _looks(probes, group))
        norms.set_ylim(bottom=0)
        if angle:
            _finish_angle(angle)
    figure.supxlabel(f"batches out of {measured}" if measured else "iteration", fontsize="medium")
    if legend := _legend(probes, groups, measured):
        figures.legend_above(figure, legend.items())
    return figure


def _looks(probes: Sequence[Probes], group: str) -> dict[tuple[str, str], Look]:
    """Return run and quantity -> how it is drawn, of all that is."""
    if len(probes) > 1:
        runs = {one.name: style.color(index) for index, one in enumerate(probes)}
        return {
            (run, quantity): Look(color, _DASHED if quantity == SUM_OF_NORMS else "-", "o")
            for run, color in runs.items()
            for quantity in (SUM_OF_NORMS, SUM, ANGLE)
        }
    (one,) = probes
    first = 0 if group == HEADS else len(one.parts(HEADS))  # a branch is none of the heads, and so has another colour
    found = {
        (one.name, part): Look(style.color(first + index), "-", marker)
        for index, (part, marker) in enumerate(zip(one.parts(group), "os^vPX" * len(one.parts(group)), strict=False))
    }
    ink, muted = style.current().ink, style.current().muted
    if len(found) > 1:
        found |= {(one.name, SUM_OF_NORMS): Look(muted, _DASHED, "v"), (one.name, SUM): Look(ink, "-", "D")}
    return found | {(one.name, ANGLE): Look(ink, "-", "D")}


def _legend(probes: Sequence[Probes], groups: Sequence[str], measured: str) -> dict[str, Look]:
    """Return what the legend names; of what was measured, the parts stand below the axis."""
    if len(probes) > 1:
        looks, ink = _looks(probes, HEADS), style.current().ink
        runs = {one.name: Look(looks[one.name, SUM].color, "-", "") for one in probes}
        return (
            runs if measured else runs | {_WORDS[SUM]: Look(ink, "-", ""), _WORDS[SUM_OF_NORMS]: Look(ink, _DASHED, "")}
        )
    looks = {} if measured else {key[1]: look for group in groups for key, look in _looks(probes, group).items()}
    return {_label(part): Look(look.color, look.dashes, "") for part, look in looks.items() if part != ANGLE}


def _label(quantity: str) -> str:
    return _WORDS.get(quantity, f"head {quantity}")


def _draw_training(
    norms: Axes, angle: Axes | None, probes: Sequence[Probes], group: str, looks: Mapping[tuple[str, str], Look]
) -> None:
    for one in probes:
        values = one.of(group)
        for (run, quantity), look in looks.items():
            if run == one.name and quantity in values:
                smoothing.draw(angle if quantity == ANGLE else norms, one.places, values[quantity], look)
    for axis in filter(None, (norms, angle)):
        axis.set_xlim(0, 1.02 * max(one.places[-1] for one in probes))


def _draw_batches(
    norms: Axes, angle: Axes | None, probes: Sequence[Probes], group: str, looks: Mapping[tuple[str, str], Look]
) -> None:
    parts = list(dict.fromkeys(part for one in probes for part in one.parts(group)))
    quantities = [*parts, SUM, SUM_OF_NORMS] if len(parts) > 1 else parts
    step = 0.8 / len(probes)
    for index, one in enumerate(probes):
        shift = figures.shift(index, len(probes), step)
        for quantity, values in one.of(group).items():
            look = looks.get((one.name, quantity)) or looks[one.name, ANGLE]
            if quantity == ANGLE:
                _draw_values(angle, index, values, look.color, 0.8)
            elif quantity in quantities:
                _draw_values(norms, quantities.index(quantity) + shift, values, look.color, step)
    norms.set_xticks(range(len(quantities)), [_label(quantity).replace(" of ", " of\n") for quantity in quantities])
    norms.set_xlim(-0.5, len(quantities) - 0.5)
    if angle:
        angle.set_xticks([])  # the legend names the runs
        angle.set_xlim(-0.7, len(probes) - 0.3)


def _draw_values(axis: Axes, x: float, values: np.ndarray, color: str, width: float) -> None:
    """Draw each value as a dot, and their mean with its 95 % interval beside."""
    values = values[~np.isnan(values)]
    spread = np.random.default_rng(0).uniform(-0.3, 0.1, len(values)) * width
    axis.plot(x + spread, values, ".", color=color, alpha=min(0.7, max(0.15, 30 / max(1, len(values)))), markersize=4)
    mean, place = mean_of_blocks(values), x + 0.25 * width
    axis.plot(place, mean.value, "D", color=color, markersize=5)
    if not np.isnan(mean.low):
        axis.vlines(place, mean.low, mean.high, color=color, linewidth=1.6)


def _finish_angle(axis: Axes) -> None:
    """Mark where vectors have nothing to do with each other, on an axis that always shows it."""
    axis.set_title("angle between them (dashed: a right angle)", fontsize="medium")
    axis.set_ylabel("angle (degrees)")
    axis.axhline(90, color=style.current().muted, linewidth=1, linestyle=_DASHED, zorder=1)
    top = min(180.0, max(100.0, axis.get_ylim()[1]))
    axis.set_yticks(range(0, 181, 30))
    axis.set_ylim(0, top)
