"""Detections in COCO's results format, kept as arrays: a seventh of the memory that their dicts take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

_AT_A_TIME = 10_000  # dicts that are there while one goes through all


@dataclass(frozen=True, eq=False)
class ResultArrays(Sequence[dict[str, Any]]):
    """D boxes, which as a sequence are dicts of COCO's results format, without masks.

    Attributes:
        image_ids: (D,) whole numbers.
        category_ids: (D,) whole numbers.
        boxes: (D, 4) float64, xywh in pixels.
        scores: (D,) float64.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, detections: Sequence[Mapping[str, Any]]) -> ResultArrays:
        """Return detections in COCO's results format as arrays; those that are arrays as they are."""
        if isinstance(detections, cls):
            return detections
        coordinates = (value for detection in detections for value in detection["bbox"])
        return cls(
            _whole(detection["image_id"] for detection in detections),
            _whole(detection["category_id"] for detection in detections),
            np.fromiter(coordinates, np.float64, 4 * len(detections)).reshape(-1, 4),
            np.fromiter((detection["score"] for detection in detections), np.float64, len(detections)),
        )

    @classmethod
    def joined(cls, parts: Sequence[ResultArrays]) -> ResultArrays:
        """Return several after one another."""
        if not parts:
            return cls.of([])
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @property
    def corners(self) -> np.ndarray:
        """The boxes (D, 4) as xyxy."""
        return np.hstack((self.boxes[:, :2], self.boxes[:, :2] + self.boxes[:, 2:]))

    def take(self, which: np.ndarray | slice) -> ResultArrays:
        """Return some of them.

        Args:
            which: Their places, in the order wanted, or of each whether it is.
        """
        return ResultArrays(self.image_ids[which], self.category_ids[which], self.boxes[which], self.scores[which])

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return self.take(place)
        (detection,) = self.take(np.array([place]))
        return detection

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first in range(0, len(self), _AT_A_TIME):
            part = self.take(slice(first, first + _AT_A_TIME))
            columns = (part.image_ids, part.category_ids, part.boxes, part.scores)
            for image, category, box, score in zip(*(column.tolist() for column in columns), strict=True):
                yield {"image_id": image, "category_id": category, "bbox": box, "score": score}


def _whole(numbers: Iterable[Any]) -> np.ndarray:
    found = [int(number) for number in numbers]
    try:
        return np.array(found, dtype=np.int64)
    except OverflowError:
        return np.array(found, dtype=object)
