"""YOLO's label files: a line per object of an image."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

from rgacli.errors import DataError

_PathT = TypeVar("_PathT", bound=PurePath)


def label_file(image: _PathT) -> _PathT:
    """Return where an image's labels are: `labels/` in the place of the last `images/`, or beside the image."""
    parts = list(image.with_suffix(".txt").parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            return type(image)(*parts[:index], "labels", *parts[index + 1 :])
    return image.with_suffix(".txt")


def objects_in(file: Path, size: tuple[int, int], classes: int, keypoints: bool) -> list[dict[str, Any]]:
    """Return what a label file says of an image of `size` (width, height) px; nothing where there is no file.

    Files of few digits are rounded to 1/100 px, which gives back what was written of COCO's boxes in images of up to
    6000 px, as the usual six digits do not; files of ten digits or more, to 1e-6 px.

    Args:
        file: Of a line per object: its class, then its box (centre, width, height) or polygon (points), in fractions of
            the image's width and height.
        size: (width, height) px of the image.
        classes: Number of classes there are.
        keypoints: Whether keypoints stand after a box.

    Raises:
        DataError: If a line is malformed; it is named.
    """
    if not file.is_file():
        return []
    text = read_text(file)
    digits = 6 if re.search(r"\.\d{10}", text) else 2
    objects = []
    for number, line in enumerate(text.splitlines(), start=1):
        if fields := line.split():
            try:
                label, *values = map(float, fields)
            except ValueError:
                raise DataError(f"{file}:{number}: not numbers: {line.strip()[:80]!r}") from None
            if problem := _problem(label, values, classes, keypoints):
                raise DataError(f"{file}:{number}: {problem}")
            thing = _box(values, size, digits) if keypoints or len(values) == 4 else _polygon(values, size, digits)
            objects.append({"category_id": int(label) + 1, **thing, "iscrowd": 0})
    return objects


def _problem(label: float, values: Sequence[float], classes: int, keypoints: bool) -> str | None:
    if label not in range(classes):
        return f"class {label:g} is none of the {classes} (0 to {classes - 1})"
    if len(values) != 4 and not (keypoints and len(values) > 4) and (len(values) < 6 or len(values) % 2):
        return f"{len(values)} numbers after the class: neither a box (4) nor a polygon (6, 8, …)"
    if not all(map(math.isfinite, values)) or max(map(abs, values)) > 2:  # a box may stick out of its image a little
        return "not in fractions of the image's width and height"
    return None


def _box(values: Sequence[float], size: tuple[int, int], digits: int) -> dict[str, Any]:
    x, y, w, h = values[:4]
    box = ((x - w / 2) * size[0], (y - h / 2) * size[1], w * size[0], h * size[1])
    bbox = [round(value, digits) for value in box]
    return {"bbox": bbox, "area": round(bbox[2] * bbox[3], 6)}


def _polygon(values: Sequence[float], size: tuple[int, int], digits: int) -> dict[str, Any]:
    xs = [round(value * size[0], digits) for value in values[::2]]
    ys = [round(value * size[1], digits) for value in values[1::2]]
    twice = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))
    bbox = [min(xs), min(ys), round(max(xs) - min(xs), digits), round(max(ys) - min(ys), digits)]
    points = [value for point in zip(xs, ys, strict=True) for value in point]
    return {"bbox": bbox, "area": round(abs(twice) / 2, 6), "segmentation": [points]}


def read_text(file: Path) -> str:
    """Return a text file's content, or raise a DataError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'not text'})") from None
