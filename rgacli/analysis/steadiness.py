"""95 % intervals of means along a training: how steady they are within it, not from seed to seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BLOCKS = 10
_FEWEST = 3
_NAN = float("nan")


class Mean(NamedTuple):
    """A mean with its 95 % interval; NaN where there is too little to tell."""

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """Return "+1.2 ± 0.4", without what is unknown."""
        return f"{self.value:+.1f} ± {self.high - self.value:.1f}" if self.is_known else f"{self.value:+.1f}"

    @property
    def is_clear(self) -> bool:
        """Whether all of the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    @property
    def is_known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)


def mean_of_blocks(values: Sequence[float]) -> Mean:
    """Return the mean of what was logged, and Student's interval over the means of successive blocks.

    Values that follow each other depend on each other; the means of blocks hardly do. There are 10 blocks, or fewer of
    two values each; with fewer than 3 blocks there is no interval.

    Args:
        values: (N,), in the order that they were logged; NaN is left out.
    """
    known = _known(values)
    if not known.size:
        return Mean(_NAN, _NAN, _NAN)
    count = min(BLOCKS, known.size // 2)
    if count < _FEWEST:
        return Mean(float(known.mean()), _NAN, _NAN)
    means = np.array([block.mean() for block in np.array_split(known, count)])
    return _around(known.mean(), means.var(ddof=1) / count, count - 1)


def rise(early: Sequence[float], late: Sequence[float]) -> Mean:
    """Return how much higher the mean of late values is than that of early ones, and Welch's interval.

    Args:
        early, late: Any numbers of values; NaN is left out, and with fewer than 3 of either there is no interval.
    """
    parts = [_known(early), _known(late)]
    if not all(part.size for part in parts):
        return Mean(_NAN, _NAN, _NAN)
    difference = parts[1].mean() - parts[0].mean()
    if min(part.size for part in parts) < _FEWEST:
        return Mean(float(difference), _NAN, _NAN)
    squares = [part.var(ddof=1) / part.size for part in parts]
    below = sum(square**2 / (part.size - 1) for square, part in zip(squares, parts, strict=True))
    return _around(difference, sum(squares), sum(squares) ** 2 / below if below else 1)


def _known(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return values[~np.isnan(values)]


def _around(value: float, variance: float, freedom: float) -> Mean:
    from scipy.stats import t

    reach = t.ppf(0.975, freedom) * math.sqrt(variance)
    return Mean(float(value), float(value - reach), float(value + reach))
