"""Smooth curves of what a training logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

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
    if not values.size:
        return values
    reach = ((window or window_for(len(values))) - 1) // 2
    offsets = np.arange(-reach, reach + 1)
    known = ~np.isnan(values)

    def weighed(each: np.ndarray, power: int) -> np.ndarray:
        kernel = (reach + 1.0 - np.abs(offsets)) * offsets**power
        return np.convolve(each, kernel[::-1])[reach : reach + len(each)]

    # The sums of a line's least squares, in every window at once.
    n, x, xx = (weighed(known.astype(float), power) for power in range(3))
    y, xy = (weighed(np.where(known, values, 0.0), power) for power in range(2))
    spread = n * xx - x * x
    with np.errstate(invalid="ignore"):
        fitted = np.where(spread > 0, xx * y - x * xy, y) / np.where(spread > 0, spread, n)
    return np.where(n > 0, np.clip(fitted, *_extremes(values, reach)), np.nan)


def band(values: Sequence[float], window: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return what values vary in: the lowest and the highest value of half a window, smoothed.

    Args:
        values, window: As for `smoothed`.

    Returns:
        (N,) each, NaN where there is nothing in the window.
    """
    values, window = np.asarray(values, dtype=float), window or window_for(len(values))
    low, high = (np.where(np.isnan(values), np.nan, extreme) for extreme in _extremes(values, window // 4))
    return smoothed(low, window), smoothed(high, window)


def _extremes(values: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest of the values that are so near to each (N,), itself among them."""
    size, unknown = 2 * reach + 1, np.isnan(values)
    low = minimum_filter1d(np.where(unknown, np.inf, values), size, mode="constant", cval=np.inf)
    high = maximum_filter1d(np.where(unknown, -np.inf, values), size, mode="constant", cval=-np.inf)
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
