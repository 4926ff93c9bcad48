"""Images with many objects, and the perfect detector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
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


def densify(dataset: Path, target: Path, count: int) -> Path:
    """A copy of a dataset whose first image of each split has so many objects, small ones side by side."""
    shutil.copytree(dataset, target)
    for path in (target / "annotations").glob("*.json"):
        content = json.loads(path.read_text())
        first = content["images"][0]
        others = [entry for entry in content["annotations"] if entry["image_id"] != first["id"]]
        columns = first["width"] // 4
        for index in range(count):
            box = {"bbox": [4 * (index % columns), 4 * (index // columns), 4, 4], "area": 16, "iscrowd": 0}
            category = content["categories"][0]["id"]
            others.append({"id": 10_000 + index, "image_id": first["id"], "category_id": category, **box})
        path.write_text(json.dumps({**content, "annotations": others}))
    return target
