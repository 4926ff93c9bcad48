"""Which sampling ratios a dataset asks for, told from its objects per image: a rule of thumb, tried on one dataset.

A head samples softly: at most as many positives as its quota, and never more than the image yields. So a quota beyond
what an image yields changes nothing there, and one below it holds positives back. The rule gives the head of most
positives the smallest quota that takes all positives of crowded images, and the head of fewest positives that of sparse
images. Crowded and sparse are the outer tenths because with these, and the paper's settings, the rule finds the paper's
own choice on a sample of COCO, 1:1 and 1:9; no AP of ours was looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rgacli.errors import UsageError
from rgacli.method import SamplingRatio
from rgacli.wording import param

TRIED = (
    "Put to the test on drawn shapes (5 seeds), the advantage of a head at 1:1 over one at 1:9 grew with the number of "
    "objects, as it says, but 1:1 was the better on images of few objects as well, and two heads at 1:1 did better "
    "than 1:1 and 1:9"
)
"""What came of it: `assets/evidence/embedded.yaml`, tables "bins" and "controls"."""

CANDIDATES = "1:1,1:3,1:5,1:7,1:9"
"""Those that the paper trained (Fig. 2, Tables 5 and 8)."""
SPARSE, CROWDED = 0.1, 0.9
"""Quantiles of the objects per image that stand for sparse and for crowded images."""

EARLY = 1.4
"""Positives per object early in training, the ground truth included, which samplers add to the proposals.

In the first 5 iterations of three trainings whose RPNs were new it was 0.9 (the embedded dataset, where a small quota
cut off some), 1.4 and 1.9 (BCCD). An RPN that starts from weights trained on COCO knows no such shortage."""


def late_positives(proposals: int) -> float:
    """Return the positives per object that a trained RPN yields, the ground truth included.

    Measured at the end of three trainings, as proposals of IoU 0.5 and more that NMS at 0.7 leaves: 4.8 of 200, 7.3 and
    8.4 of 300, and 8.8, 14.8 and 17.0 of 1,000 proposals. It hardly depended on the number of objects in the image.
    """
    return 1 + 0.38 * math.sqrt(proposals)


@dataclass(frozen=True)
class Sampling:
    """How the RoIs of an image are sampled for a head.

    Attributes:
        rois: Of an image that are sampled.
        proposals: Of an image that the RPN passes on.
        positives_per_object: Late in training, the ground truth included.

    Raises:
        UsageError: a number is out of range.
    """

    rois: int
    proposals: int
    positives_per_object: float

    def __post_init__(self) -> None:
        for name in ("rois", "proposals", "positives_per_object"):
            value = getattr(self, name)
            if not 1 <= value < math.inf:
                why = " (the ground truth itself is one)" if name == "positives_per_object" else ""
                raise UsageError(f"{param(name, value)}: it must be at least 1{why}.")

    def quota(self, ratio: SamplingRatio) -> int:
        """Return the most positives that a head of this ratio samples, rounded as mmdet does."""
        return int(self.rois * ratio.positive_fraction)

    def available(self, objects: np.ndarray | float, *, early: bool = False) -> np.ndarray:
        """Return how many positives images of so many objects yield."""
        per_object = min(EARLY, self.positives_per_object) if early else self.positives_per_object
        return np.minimum(np.multiply(per_object, objects), self.proposals + np.asarray(objects))

    def fitting(self, ratios: Sequence[SamplingRatio], objects: float) -> SamplingRatio:
        """Return the ratio of the smallest quota that takes all late positives of an image of so many objects.

        Where none takes all it is the ratio of the largest quota.
        """
        by_quota = sorted(ratios, key=self.quota)
        enough = (ratio for ratio in by_quota if self.quota(ratio) >= self.available(objects))
        return next(enough, by_quota[-1])


@dataclass(frozen=True)
class Choice:
    """The ratios to try.

    Attributes:
        sparse, crowded: Objects of sparse and of crowded images.
        fewest, most: The ratios that they ask for; the same where they ask for the same.
    """

    sparse: int
    crowded: int
    fewest: SamplingRatio
    most: SamplingRatio

    @property
    def ratios(self) -> tuple[SamplingRatio, ...]:
        """One per head, most positives first."""
        return tuple(dict.fromkeys((self.most, self.fewest)))


def choose(objects: np.ndarray, ratios: Sequence[SamplingRatio], sampling: Sampling) -> Choice:
    """Choose the ratios of two heads.

    Args:
        objects: Number of objects of each image (N,), of images that have any.
        ratios: To choose from.
        sampling: How they are sampled.
    """
    sparse, crowded = (
        int(np.quantile(objects, SPARSE, method="lower")),
        int(np.quantile(objects, CROWDED, method="higher")),
    )
    return Choice(sparse, crowded, sampling.fitting(ratios, sparse), sampling.fitting(ratios, crowded))
