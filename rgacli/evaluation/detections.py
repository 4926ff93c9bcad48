"""What a detector found on an image, by variant: each of its heads and their ensemble, all from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from rgacli.method import ENSEMBLE, WHOLE

Found = TypeVar("Found")


@dataclass(frozen=True)
class Detections:
    """What one head, or the ensemble, found on one image: D objects.

    Attributes:
        boxes: (D, 4) float32, xyxy in the image's pixels.
        scores: (D,) float32, in [0, 1].
        labels: (D,) int64, indices into `classes`.
        classes: The names of all classes.
        masks: (D, H, W) bool, of a detector with a mask head; only the ensemble (or the only head) has them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The class of each object."""
        return [self.classes[label] for label in self.labels]

    def above(self, score: float) -> Detections:
        """Return those with at least this score."""
        kept = self.scores >= score
        masks = None if self.masks is None else self.masks[kept]
        return replace(self, boxes=self.boxes[kept], scores=self.scores[kept], labels=self.labels[kept], masks=masks)


Prediction = dict[str, Detections]
"""Head ("1:1", "1:9", …) -> what it found; "ensemble" comes last. A detector without parallel heads has "detector"."""


def detections_by_variant(sample: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return what a detector found on one image, by variant.

    A model that keeps no heads (`keep_heads` off, or any other detector) has its prediction for its only variant.

    Args:
        sample: A predicted data sample, as a dict.

    Returns:
        Variant -> `bboxes` (D, 4) xyxy, `scores` (D,) and `labels` (D,); and `masks` (D, H, W), where the detector
        makes them, of the variant whose boxes they follow: the ensemble, or the only one. In the order of their names:
        mmengine keeps those of a sample in a set, whose order is each process's own.
    """
    predicted = sample["pred_instances"]
    found = {
        variant: {key: _array(instances[key]) for key in ("bboxes", "scores", "labels")}
        for variant, instances in sorted((sample.get("head_instances") or {WHOLE: predicted}).items())
    }
    if "masks" in predicted:
        found[ENSEMBLE if ENSEMBLE in found else next(iter(found))]["masks"] = _array(predicted["masks"])
    return found


def by_size(images: Sequence[dict[str, Any]], detect: Callable[[Sequence[dict[str, Any]]], list[Found]]) -> list[Found]:
    """Return what is found on images, of which those of one input size are detected on together.

    Args:
        images: As a detector takes them, `inputs` (3, H, W) among what they hold.
        detect: Returns what is found on each of some images.
    """

    def size(index: int) -> tuple[int, ...]:
        return tuple(images[index]["inputs"].shape)

    found: dict[int, Found] = {}
    for _, group in groupby(sorted(range(len(images)), key=size), key=size):
        indices = list(group)
        found |= zip(indices, detect([images[index] for index in indices]), strict=True)
    return [found[index] for index in range(len(images))]


def _array(value: Tensor | np.ndarray) -> np.ndarray:
    return value.cpu().numpy() if isinstance(value, Tensor) else value
