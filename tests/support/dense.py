"""Images with many objects, and the perfect detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SIDE = 500  # px of an image: a grid of 25 x 25 places


def crowded(counts: Sequence[int], classes: int = 1) -> dict[str, Any]:
    """COCO annotations of images with so many objects, none over another, of the classes in turn."""
    annotations = [
        {
            "image_id": image,
            "category_id": 1 + index % classes,
            "bbox": [20 * (index % 25), 20 * (index // 25), 12, 18],
            "area": 216,
            "iscrowd": 0,
        }
        for image, count in enumerate(counts, start=1)
        for index in range(count)
    ]
    return {
        "images": [
            {"id": image, "file_name": f"{image}.jpg", "width": SIDE, "height": SIDE}
            for image in range(1, len(counts) + 1)
        ],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, classes + 1)],
    }


def perfect(annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object, found exactly."""
    return [
        {**{key: entry[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for entry in annotations["annotations"]
    ]
