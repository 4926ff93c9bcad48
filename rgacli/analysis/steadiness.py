"""95 % intervals of means along a training: how steady they are within it, not from seed to seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rgacli.analysis.intervals import UNKNOWN, Estimate, mean, student

BLOCKS = 10
_FEWEST = 3


def first_part(iterations: np.ndarray, share: float) -> np.ndarray:
    """Return which lines (N,) are of the first share of a training; the first line always is."""
    return iterations <= max(share * iterations[-1], iterations[0])


def last_part(iterations: np.ndarray, share: float) -> np.ndarray:
    """Return which lines (N,) are of the last share of a training."""
    return iterations > (1 - share) * iterations[-1]


def mean_of_blocks(values: Sequence[float]) -> Estimate:
    """Return the mean of what was logged, and Student's interval over the means of successive blocks.

    Values that follow each other depend on each other; the means of blocks hardly do. There are 10 blocks, or fewer of
    two values each; with fewer than 3 blocks there is no interval.

    Args:
        values: (N,), in the order that they were logged; NaN is left out.
    """
    known = _known(values)
    if not known.size:
        return UNKNOWN
    count, value = min(BLOCKS, known.size // 2), float(known.mean())
    if count < _FEWEST:
        return Estimate(value, math.nan, math.nan)
    of_blocks = mean([block.mean() for block in np.array_split(known, count)])
    reach = of_blocks.high - of_blocks.value
    return Estimate(value, value - reach, value + reach)


def rise(early: Sequence[float], late: Sequence[float]) -> Estimate:
    """Return how much higher the mean of late values is than that of early ones, and Welch's interval.

    Args:
        early, late: Any numbers of values; NaN is left out, and with fewer than 3 of either there is no interval.
    """
    parts = [_known(early), _known(late)]
    if not all(part.size for part in parts):
        return UNKNOWN
    value = float(parts[1].mean() - parts[0].mean())
    if min(part.size for part in parts) < _FEWEST:
        return Estimate(value, math.nan, math.nan)
    squares = [part.var(ddof=1) / part.size for part in parts]
    below = sum(square**2 / (part.size - 1) for square, part in zip(squares, parts, strict=True))
    reach = student(sum(squares) ** 2 / below) * math.sqrt(sum(squares)) if below else 0.0
    return Estimate(value, value - reach, value + reach)


def _known(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return values[~np.isnan(values)]
