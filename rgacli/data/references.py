"""How many objects the images of well-known datasets have, to compare a dataset with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, math.inf)}
"""COCO's sizes of objects, by area in px² of the image as it is."""


@dataclass(frozen=True)
class Reference:
    """What is known of a dataset.

    Attributes:
        name: What it is, and how much of it.
        images: Number of images.
        mean: Objects per image.
        counts: Number of objects -> number of images that have it; None where only the mean is known.
    """

    name: str
    images: int
    mean: float
    counts: Mapping[int, int] | None = None

    @property
    def objects(self) -> list[int]:
        """Number of objects of each image; empty where only the mean is known."""
        return [number for number, images in (self.counts or {}).items() for _ in range(images)]


# Counted in the first 128 images of train2017 and of val2017, by their file names: no published numbers of the whole
# distribution were found. Its mean agrees with that of train2014, 604,907 objects in 82,783 images: 7.31
# (https://github.com/Lextal/SotA-CV/blob/HEAD/content/datasets/coco_detection.md; 82,783 is confirmed by
# https://www.tensorflow.org/datasets/catalog/coco), as does its median of 4.
_COCO_COUNTS = {
    **{0: 2, 1: 20, 2: 57, 3: 26, 4: 25, 5: 18, 6: 9, 7: 16, 8: 11, 9: 5, 10: 6, 11: 8, 12: 5, 13: 7, 14: 6, 15: 4},
    **{16: 7, 17: 6, 18: 1, 19: 1, 20: 4, 22: 2, 24: 3, 26: 1, 28: 1, 29: 1, 33: 1, 38: 1, 40: 1, 42: 1},
}
COCO = Reference("COCO, 256 images", 256, 1827 / 256, _COCO_COUNTS)

# Shao et al., CrowdHuman (arXiv 1805.00123): 22.6 persons per image, 15,000 images in train. No published
# numbers of the distribution were found.
CROWDHUMAN = Reference("CrowdHuman train", 15_000, 22.6)
