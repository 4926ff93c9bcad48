"""Pictures of a split: what was found on its images, beside their ground truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np

from rgacli.config.dataset import image_folder
from rgacli.errors import UsageError
from rgacli.evaluation.detections import Detections, Prediction
from rgacli.evaluation.results import decode_masks
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.inference.album import Album
from rgacli.progress import Progress
from rgacli.wording import param

Draw = Callable[[np.ndarray, Detections, Prediction], np.ndarray]
"""Takes an image (H, W, 3) uint8 BGR, its objects and what was found on it; returns the picture."""


class SplitPictures:
    """Some images of a split, spread evenly over it, and the folder that their pictures go to.

    Args:
        split: Whose images.
        folder: Where the pictures go, each under its image's name.
        count: Number of pictures; all images where there are fewer.

    Raises:
        UsageError: the number is out of range, or a picture would overwrite its image.
    """

    def __init__(self, split: SplitDetections, folder: Path, count: int) -> None:
        if count < 1:
            raise UsageError(f"{param('show_count', count)}: it must be at least 1.")
        self._annotations = split.annotations
        images = self._annotations["images"]
        count = min(count, len(images))
        root = Path(image_folder(split.dataset))
        chosen = [images[index * len(images) // count] for index in range(count)]
        self._images = {image["id"]: root / image["file_name"] for image in chosen}
        self._album = Album(folder, list(self._images.values()), "show_dir")

    def draw(
        self,
        results: Mapping[str, Sequence[Mapping[str, Any]]],
        draw: Draw,
        *,
        score: float,
        progress: Progress | None = None,
    ) -> int:
        """Write the pictures and return their number. Crowds are not drawn.

        Args:
            results: Head -> detections of the split, in COCO's results format.
            draw: What draws a picture.
            score: The least of what is drawn, in [0, 1].
            progress: Told of each picture.
        """
        categories = self._annotations["categories"]
        label_of = {category["id"]: label for label, category in enumerate(categories)}
        classes = tuple(category["name"] for category in categories)
        truth = self._by_image(
            [
                entry
                for entry in self._annotations["annotations"]
                if entry["category_id"] in label_of and not entry.get("iscrowd")
            ]
        )
        found = {
            head: self._by_image([detection for detection in detections if detection["score"] >= score])
            for head, detections in results.items()
        }
        masks = any("segmentation" in detections[0] for detections in results.values() if detections)
        for done, (image_id, path) in enumerate(self._images.items(), start=1):
            pixels = mmcv.imread(path)
            size = pixels.shape[:2]
            prediction = {head: _detections(own[image_id], label_of, classes, size) for head, own in found.items()}
            objects = _detections(truth[image_id], label_of, classes, size if masks else None)
            self._album.add(path, draw(pixels, objects, prediction))
            if progress:
                progress("drawing", done, len(self._images))
        return len(self._images)

    def _by_image(self, entries: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
        found = defaultdict(list)
        for entry in entries:
            if entry["image_id"] in self._images:
                found[entry["image_id"]].append(entry)
        return found


def _detections(
    entries: Sequence[Mapping[str, Any]],
    label_of: Mapping[int, int],
    classes: tuple[str, ...],
    size: tuple[int, int] | None,
) -> Detections:
    """Return COCO's annotations or results as arrays; masks, of those that have them, in images of a size (H, W)."""
    boxes = np.array([entry["bbox"] for entry in entries], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]  # xywh -> xyxy
    segmentations = [entry["segmentation"] for entry in entries if size and entry.get("segmentation")]
    return Detections(
        boxes=boxes,
        scores=np.array([entry.get("score", np.nan) for entry in entries], dtype=np.float32),
        labels=np.array([label_of[entry["category_id"]] for entry in entries], dtype=np.int64),
        classes=classes,
        masks=decode_masks(segmentations, size) if entries and len(segmentations) == len(entries) else None,
    )
