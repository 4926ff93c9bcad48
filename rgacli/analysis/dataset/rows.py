"""What a head of one ratio is to expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgacli.analysis.dataset.ratio_choice import Sampling
from rgacli.method import SamplingRatio


@dataclass(frozen=True)
class Row:
    """What a head of one ratio is to expect, in images that have objects.

    Attributes:
        ratio: Positives : negatives.
        quota: The most positives that the head samples of an image.
        early, late: Positives that it samples of an image early and late in training, on average.
        filled: Share of the images that fill the quota late.
        chosen: Whether the ratio is one to try.
    """

    ratio: str
    quota: int
    early: float
    late: float
    filled: float
    chosen: bool


def row_of(ratio: SamplingRatio, sampling: Sampling, objects: np.ndarray, chosen: bool) -> Row:
    """Return what a head is to expect of images with these numbers of objects (N,), none of them 0."""
    quota, late = sampling.quota(ratio), sampling.available(objects)
    early = np.minimum(quota, sampling.available(objects, early=True))
    return Row(
        str(ratio),
        quota,
        float(early.mean()),
        float(np.minimum(quota, late).mean()),
        float((late >= quota).mean()),
        chosen,
    )
