"""Datasets in COCO's layout whose every image and box is given: what no camera and no random drawing would yield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rgacli.files import write_json

Box = tuple[float, float, float, float]  # x, y, width, height px


@dataclass(frozen=True)
class Drawn:
    """An image of dark noise, with a rectangle of bright noise for each object.

    Nothing in it is flat: where scores are equal to the last bit, rounding decides what is found.

    Attributes:
        size: (width, height) px.
        boxes: Of its objects.
        labels: Index into the classes of each; by default all are of the first.
    """

    size: tuple[int, int] = (64, 64)
    boxes: Sequence[Box] = ()
    labels: Sequence[int] = ()


def write(root: Path, splits: Mapping[str, Sequence[Drawn]], classes: Sequence[str] = ("thing",)) -> Path:
    """Write annotations/SPLIT.json and images/SPLIT/*.png, and return the folder."""
    for split, images in splits.items():
        content = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
        folder = root / "images" / split
        folder.mkdir(parents=True)
        for number, image in enumerate(images, start=1):
            name, (width, height) = f"{number}.png", image.size
            Image.fromarray(_pixels(image, number)).save(folder / name, compress_level=1)
            content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
            for place, box in enumerate(image.boxes):
                label = image.labels[place] if image.labels else 0
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "image_id": number,
                        "category_id": label + 1,
                        "bbox": list(box),
                        "area": box[2] * box[3],
                        "iscrowd": 0,
                    }
                )
        write_json(root / "annotations" / f"{split}.json", content)
    return root


def _pixels(image: Drawn, number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    width, height = image.size
    pixels = rng.integers(0, 100, (height, width, 3), dtype=np.uint8)
    for x, y, w, h in image.boxes:
        place = pixels[_span(y, h), _span(x, w)]
        place[:] = rng.integers(120, 256, place.shape, dtype=np.uint8)
    return pixels


def _span(start: float, length: float) -> slice:
    """Return the pixels that it takes in, at least one."""
    first = max(0, int(start))
    return slice(first, max(first + 1, int(start + length)))
