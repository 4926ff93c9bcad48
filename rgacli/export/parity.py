"""How far two detectors' detections on the same images lie apart: whether one can stand in for the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from rgacli.evaluation.detections import Detections

_NEAR_BOXES, _NEAR_SCORES, _NEAR_MASKS = 1.0, 0.01, 0.1


@dataclass(frozen=True)
class Parity:
    """Of two detectors on a number of images.

    Attributes:
        images: How many.
        detections: Pairs of one detection of each, of the same class and almost the same: up to 1 px and 0.01 apart,
            with an IoU of 0.9 between their masks.
        unpaired: Detections without such a counterpart. A few are no wonder: where two boxes have the same score to the
            last bits, rounding decides which of them NMS keeps.
        boxes: The largest difference of a pair's coordinates, in pixels.
        scores: The largest difference of a pair's scores.
        masks: The largest difference of a pair's masks: 1 less their IoU. 0 where not both have masks.
    """

    images: int = 0
    detections: int = 0
    unpaired: int = 0
    boxes: float = 0.0
    scores: float = 0.0
    masks: float = 0.0

    def __add__(self, other: Parity) -> Parity:
        return Parity(
            self.images + other.images,
            self.detections + other.detections,
            self.unpaired + other.unpaired,
            max(self.boxes, other.boxes),
            max(self.scores, other.scores),
            max(self.masks, other.masks),
        )

    def within(self, boxes: float, scores: float, unpaired: float = 0.0) -> bool:
        """Return whether detections have their counterparts at most so far away, in pixels and score.

        Args:
            boxes, scores: The most that a pair may differ.
            unpaired: The share of the detections that may be without a counterpart.
        """
        return self.unpaired <= unpaired * self.detections and self.boxes <= boxes and self.scores <= scores

    def __str__(self) -> str:
        alone = f"; {self.unpaired} found by one of the two alone" if self.unpaired else ""
        masks = f", {self.masks:.2g} in masks" if self.masks else ""
        return (
            f"{self.images} image{'s' * (self.images != 1)}, {self.detections} detections: largest difference "
            f"{self.boxes:.2g} px in boxes, {self.scores:.2g} in scores{masks}{alone}"
        )


def compare_detections(found: Iterable[Detections], expected: Iterable[Detections]) -> Parity:
    """Compare what two detectors found, image by image.

    Raises:
        ValueError: they are of different numbers of images.
    """
    return sum((_compare_image(*both) for both in zip(found, expected, strict=True)), Parity())


def _compare_image(found: Detections, expected: Detections) -> Parity:
    """Pair detections within their class so that pairs are close: equal scores may come in any order."""
    parity = Parity(1)
    for label in np.intersect1d(found.labels, expected.labels):
        one, other = (np.flatnonzero(detections.labels == label) for detections in (found, expected))
        moved = np.abs(found.boxes[one, None] - expected.boxes[None, other]).max(axis=2)
        rescored = np.abs(found.scores[one, None] - expected.scores[None, other])
        matched = linear_sum_assignment(moved + rescored)
        moved, rescored = moved[matched], rescored[matched]
        remasked = _mask_differences(found.masks, expected.masks, one[matched[0]], other[matched[1]])
        near = (moved <= _NEAR_BOXES) & (rescored <= _NEAR_SCORES) & (remasked <= _NEAR_MASKS)
        largest = (float(values[near].max(initial=0)) for values in (moved, rescored, remasked))
        parity += Parity(0, int(near.sum()), 0, *largest)
    return parity + Parity(unpaired=len(found) + len(expected) - 2 * parity.detections)


def _mask_differences(
    found: np.ndarray | None, expected: np.ndarray | None, rows: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Return 1 - IoU (M,) of M pairs of masks, in their rows; 0 where not both detectors have masks."""
    if found is None or expected is None:
        return np.zeros(len(rows))
    pairs = [(found[row], expected[other]) for row, other in zip(rows, others, strict=True)]
    return np.array([(one ^ other).sum() / max(1, (one | other).sum()) for one, other in pairs])
