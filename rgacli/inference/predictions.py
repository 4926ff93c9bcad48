"""Detections on images that no annotation file lists, as a COCO file of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rgacli.evaluation.detections import Detections
from rgacli.evaluation.results import coco_results, encode_masks
from rgacli.files import write_json


class Predictions:
    """A collection of images and what was found on them.

    The file is laid out as COCO's annotations are, so that it stands on its own and labelling tools take it: `images`
    and `categories`, both numbered from 1, and `annotations`, which are COCO results (with `score`) and have `id`,
    `area` (px²) and `iscrowd` besides. A frame of a video is an image with its number, from 0, as `frame`.

    Args:
        classes: Names, by label.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, file_name: str, size: tuple[int, int], found: Detections, frame: int | None = None) -> None:
        """Note what was found on an image.

        Args:
            file_name: Of the image, or of the video.
            size: (height, width) in px.
            found: The detections.
            frame: Number of the video's frame.
        """
        image = {"id": len(self._images) + 1, "file_name": file_name, "height": size[0], "width": size[1]}
        self._images.append(image if frame is None else {**image, "frame": frame})
        arrays = {"bboxes": found.boxes, "scores": found.scores, "labels": found.labels}
        if found.masks is not None:
            arrays["masks"] = encode_masks(found.masks)
        for result in coco_results(image["id"], arrays, [category["id"] for category in self._categories]):
            _, _, width, height = result["bbox"]
            number = len(self._annotations) + 1
            self._annotations.append({"id": number, **result, "area": width * height, "iscrowd": 0})

    def counts(self) -> dict[str, int]:
        """Return class -> number of detections; classes without any are left out."""
        found = Counter(entry["category_id"] for entry in self._annotations)
        return {category["name"]: found[category["id"]] for category in self._categories if found[category["id"]]}

    def save(self, path: Path) -> None:
        """Atomically write the file."""
        content = {"images": self._images, "categories": self._categories, "annotations": self._annotations}
        write_json(path, content)
