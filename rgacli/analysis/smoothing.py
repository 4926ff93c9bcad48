"""Smooth curves of what a training logged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_SHARE = 0.1
"""Of a run's logged values, those that one smoothed value is made of."""


def window_for(count: int) -> int:
    """Return the window that suits so many values of a run: a tenth of them, an odd number of at least 5."""
    return max(5, 2 * int(_SHARE * count / 2) + 1)


def smoothed(values: Sequence[float], window: int) -> np.ndarray:
    """Return a moving mean, centred, with weights that fall off linearly on both sides.

    Toward the ends the window shrinks and stays centred. So nothing lags, a straight line stays as it is up to its
    ends, no value lies outside those around it, and the first and last are as they were logged.

    Args:
        values: (N,); NaN, for what was not logged, is left out of the means.
        window: Number of values in a mean, odd; of an even one the next lower.

    Returns:
        (N,), NaN where there is nothing in the window.
    """
    values = np.asarray(values, dtype=float)
    means = np.full(len(values), np.nan)
    for center, reach in _centred(len(values), window):
        near = values[center - reach : center + reach + 1]
        weights = np.where(np.isnan(near), 0.0, reach + 1 - np.abs(np.arange(-reach, reach + 1)))
        if total := weights.sum():
            means[center] = weights @ np.nan_to_num(near) / total
    return means


def band(values: Sequence[float], window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what lies around the curve of `smoothed`: the lowest and the highest value of half its window.

    All values lie within.

    Args:
        values, window: As for `smoothed`.

    Returns:
        (N,) each, NaN where there is nothing in the window.
    """
    values = np.asarray(values, dtype=float)
    around = [values[max(0, i - window // 4) : i + window // 4 + 1] for i in range(len(values))]
    known = [near[~np.isnan(near)] for near in around]
    low, high = (np.array([f(near) if near.size else np.nan for near in known]) for f in (np.min, np.max))
    return low, high


def _centred(count: int, window: int) -> Iterator[tuple[int, int]]:
    """Yield each place, and how many values its window reaches to either side."""
    for center in range(count):
        yield center, min((window - 1) // 2, center, count - 1 - center)
