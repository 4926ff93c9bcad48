"""95 % intervals of what was measured on images: the images are what was drawn at random, not what lies in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

_LEVEL = 0.95

FEW_IMAGES = 10
"""Of a bin with fewer nothing is concluded: in one of 8, the true AP is inside the 95 % interval in 85 % of trials, and
a single image moves it by several points."""


class Estimate(NamedTuple):
    """A value and its 95 % interval; NaN where unknown."""

    value: float
    low: float
    high: float

    @property
    def is_zero_inside(self) -> bool:
        """Whether the interval leaves it open on which side of 0 the value is; so does an unknown one."""
        return is_within(self.low, self.high)

    def named(self, name: str) -> dict[str, float]:
        """Return it as a row has it: `name`, `name_low`, `name_high`."""
        return dict(zip(_fields(name), self, strict=True))


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def estimate_of(row: Any, name: str) -> Estimate:
    """Return what a row has as `name`, `name_low` and `name_high`."""
    return Estimate(*(getattr(row, field) for field in _fields(name)))


def _fields(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def is_within(low: float, high: float) -> bool:
    """Return whether a difference may as well be none: its interval holds 0, or is unknown."""
    return not (low > 0 or high < 0)


def ratio(
    parts: Sequence[float] | np.ndarray,
    wholes: Sequence[float] | np.ndarray,
    *,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return sum(parts) / sum(wholes), of numbers that each image has two of; the interval is of Student's t.

    The standard error is that of the ratio estimator, linearised: of the images' parts - ratio · wholes.

    Args:
        parts, wholes: Of each image.
        within: What the ratio cannot leave, nor its interval: (0, 1) of a share.
    """
    parts, wholes = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    images, total = len(parts), wholes.sum()
    if not total:
        return UNKNOWN
    value = float(parts.sum() / total)
    if np.count_nonzero(wholes) < 2:  # one image, or one that has any, tells of no spread
        return Estimate(value, math.nan, math.nan)
    error = math.sqrt(images / (images - 1) * np.square(parts - value * wholes).sum()) / total
    low, high = (min(max(value + side * student(images - 1) * error, within[0]), within[1]) for side in (-1, 1))
    return Estimate(value, low, high)


def mean(values: Sequence[float] | np.ndarray) -> Estimate:
    """Return the mean of a number that each image has, with Student's interval."""
    return ratio(values, np.ones(len(values)))


def pearson(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Estimate:
    """Return Pearson's correlation of two numbers that each image has, with Fisher's interval (atanh, 1/√(n - 3))."""
    return _correlation(np.asarray(x, dtype=float), np.asarray(y, dtype=float), lambda value: 1.0)


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Estimate:
    """Return Spearman's rank correlation, with Fisher's interval in the variance of Bonett and Wright (2000)."""
    from scipy.stats import rankdata

    return _correlation(rankdata(x), rankdata(y), lambda value: 1 + value**2 / 2)


def _correlation(x: np.ndarray, y: np.ndarray, variance: Callable[[float], float]) -> Estimate:
    if len(x) < 2 or not np.ptp(x) or not np.ptp(y):  # one image, or all alike: no correlation is defined
        return UNKNOWN
    value = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    if len(x) < 4:
        return Estimate(value, math.nan, math.nan)
    if abs(value) == 1:
        return Estimate(value, value, value)
    reach = _normal() * math.sqrt(variance(value) / (len(x) - 3))
    return Estimate(value, *(math.tanh(math.atanh(value) + side * reach) for side in (-1, 1)))


def student(freedom: float) -> float:
    """Return the quantile of Student's t that a 95 % interval reaches to."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + _LEVEL) / 2))


def _normal() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + _LEVEL) / 2))
