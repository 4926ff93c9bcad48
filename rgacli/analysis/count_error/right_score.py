"""How many detections there are from each score on, and from which one on there are as many as objects."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

SCORES = np.round(np.linspace(0, 1, 101), 2)
"""Where counts are looked at."""


class Right(NamedTuple):
    """A right score, NaN where there is none, and that of each bootstrap sample of the images."""

    value: float
    samples: np.ndarray


def numbers_from(scores: np.ndarray, owners: np.ndarray, images: int) -> np.ndarray:
    """Return how many detections each image has from each of SCORES on: (images, len(SCORES)).

    Args:
        scores, owners: Of the detections: their scores, in [0, 1], and images, as indices.
        images: Number of images.
    """
    step = np.searchsorted(SCORES, scores, side="right") - 1
    cells = np.bincount(owners * len(SCORES) + step, minlength=images * len(SCORES)).reshape(images, -1)
    return cells[:, ::-1].cumsum(axis=1)[:, ::-1]


def right_score(
    scores: np.ndarray,
    owners: np.ndarray,
    images: np.ndarray,
    objects: np.ndarray,
    bootstrap: int,
    rng: np.random.Generator,
) -> Right:
    """Return the score from which on there are as many detections as objects in `images`.

    It is the score of the rank that equals the number of objects. A sample of images that never has as many
    detections has the lowest score of all.

    Args:
        scores, owners: Of the detections, by falling score: their scores and images.
        images: Which images.
        objects: Of each image, their number.
        bootstrap, rng: Samples, and what draws them.
    """
    inside = np.isin(owners, images)
    scores, owners = scores[inside], owners[inside]
    total = objects[images].sum()
    value = float(scores[total - 1]) if 0 < total <= len(scores) else math.nan
    if math.isnan(value) or len(images) < 2:
        return Right(value, np.full(bootstrap, math.nan))
    samples = np.empty(bootstrap)
    for index in range(bootstrap):
        drawn = np.bincount(rng.choice(images, len(images)), minlength=len(objects))
        reached = np.searchsorted(drawn[owners].cumsum(), drawn @ objects)
        samples[index] = scores[min(reached, len(scores) - 1)]
    return Right(value, samples)


def percentiles(samples: np.ndarray) -> tuple[float, float]:
    """Return the ends of the 95 % interval of bootstrap samples; NaN of fewer than 2."""
    if len(samples) < 2:
        return math.nan, math.nan
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(low), float(high)
