"""Smooth curves of what a training logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rgacli.analysis.style import Look

FEW = 20
"""Fewer values are shown as they are."""
_SHARE = 0.1
"""Of a run's logged values, those that one smoothed value is made of."""


def window_for(count: int) -> int:
    """Return the window that suits so many values of a run: a tenth of them, odd and at least 5."""
    return max(5, 2 * int(_SHARE * count / 2) + 1)


def smoothed(values: Sequence[float], window: int | None = None) -> np.ndarray:
    """Return values smoothed by lines that are fitted around each, with weights that fall off linearly on both sides.

    Away from the ends that is a centred moving mean; up to them nothing lags, and a straight line stays as it is. No
    value lies outside those in its window.

    Args:
        values: (N,); NaN, for what was not logged, is left out.
        window: Number of values that a line is fitted to, odd; of an even one the next lower. By default
            `window_for`'s.

    Returns:
        (N,), NaN where there is nothing in the window.
    """
    values = np.asarray(values, dtype=float)
    reach = ((window or window_for(len(values))) - 1) // 2
    found = np.full(len(values), np.nan)
    for place in range(len(values)):
        near = slice(max(0, place - reach), place + reach + 1)
        known = np.flatnonzero(~np.isnan(values[near])) + near.start
        if known.size:
            found[place] = _fitted(known - place, values[known], reach)
    return found


def _fitted(offsets: np.ndarray, values: np.ndarray, reach: int) -> float:
    """Return the height at 0 of the line that fits values (N,) at offsets (N,) of no more than `reach`."""
    weights = reach + 1.0 - np.abs(offsets)
    center = weights @ offsets / weights.sum()
    mean, spread = weights @ values / weights.sum(), weights @ (offsets - center) ** 2
    slope = weights @ ((offsets - center) * values) / spread if spread else 0.0
    return float(np.clip(mean - slope * center, values.min(), values.max()))


def band(values: Sequence[float], window: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return what values vary in: the lowest and the highest value of half a window, smoothed.

    Args:
        values, window: As for `smoothed`.

    Returns:
        (N,) each, NaN where there is nothing in the window.
    """
    values, window = np.asarray(values, dtype=float), window or window_for(len(values))
    extremes = np.full((2, len(values)), np.nan)
    for place in np.flatnonzero(~np.isnan(values)):
        near = values[max(0, place - window // 4) : place + window // 4 + 1]
        extremes[:, place] = np.nanmin(near), np.nanmax(near)
    low, high = (smoothed(extreme, window) for extreme in extremes)
    return low, high


def draw(axis: Axes, x: Sequence[float], values: Sequence[float], look: Look) -> None:
    """Draw values smoothed, with the band that they vary in behind; of a few, the values themselves with markers.

    Args:
        axis: To draw on.
        x: (N,), where in the training they were logged.
        values: (N,); NaN where nothing was.
        look: How they are told apart from others.
    """
    if len(values) < FEW:
        axis.plot(x, values, color=look.color, linestyle=look.dashes, marker=look.marker, markersize=4, linewidth=1)
        return
    axis.fill_between(x, *band(values), color=look.color, alpha=0.18, linewidth=0)
    axis.plot(x, smoothed(values), color=look.color, linestyle=look.dashes, linewidth=1.6)
