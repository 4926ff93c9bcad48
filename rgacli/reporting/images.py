"""The images behind a report's numbers: small copies, the objects on them, and what each head found."""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from rgacli.evaluation.tide import ERRORS, IGNORED, MISSED, RIGHT, Fates

_SIDE = 640  # px of the longer side
_QUALITY = 72


@dataclass(frozen=True)
class Shown:
    """An image with what is drawn on it.

    Attributes:
        path: Its file.
        found: Head -> what became of its detections, and of the image's objects.
    """

    path: Path
    found: Mapping[str, Fates]


@dataclass(frozen=True)
class Cell:
    """A number in a table that leads to images.

    Attributes:
        key: "BIN|HEAD|ERROR".
        text: The number.
        share: Of the largest number that it is compared with, in [0, 1]: its shade.
    """

    key: str
    text: str
    share: float


@dataclass(frozen=True)
class CellRow:
    """A line of such a table: what heads it, and its cells."""

    names: Sequence[str]
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Group:
    """Images that belong together, or a table of numbers that lead to some.

    Attributes:
        title: Its heading.
        text: What is to be seen.
        images: Ids of the images.
        notes: Image id -> what is to be said of it here.
        marked: Image id -> boxes (x, y, width, height) that stand out among its objects.
        headings: Of the table's columns.
        cells: The table's lines.
    """

    title: str
    text: str
    images: Sequence[int] = ()
    notes: Mapping[int, str] = field(default_factory=dict)
    marked: Mapping[int, Sequence[Sequence[float]]] = field(default_factory=dict)
    headings: Sequence[str] = ()
    cells: Sequence[CellRow] = ()


@dataclass(frozen=True)
class Gallery:
    """Images, and what leads to them.

    Attributes:
        classes: Category id -> name.
        heads: Names of the heads, in the order of their panels.
        images: Id -> image.
        groups: What the page shows, in its order.
        cells: Key of a cell -> the images behind it, worst first, each with its number of such errors.
    """

    classes: Mapping[int, str]
    heads: Sequence[str]
    images: Mapping[int, Shown]
    groups: Sequence[Group]
    cells: Mapping[str, Sequence[tuple[int, int]]]

    def content(self) -> dict[str, Any]:
        """Return what the page's script draws from."""
        return {
            "classes": {str(category): name for category, name in self.classes.items()},
            "heads": list(self.heads),
            "errors": ERRORS,
            "images": {str(key): self._content(image) for key, image in self.images.items()},
            "cells": {cell: [list(pair) for pair in images] for cell, images in self.cells.items()},
        }

    def _content(self, image: Shown) -> dict[str, Any]:
        by_head = [image.found[head] for head in self.heads]
        name = image.path.name
        try:
            source, (width, height) = small_copy(image.path)
        except (OSError, Image.DecompressionBombError):  # it may be gone since the detections were made
            name += " (cannot be read)"
            source, (width, height) = _uri(Image.new("RGB", (1, 1), "gray")), _extent(by_head)
        fates = zip(*(found.objects for found in by_head), strict=True)
        return {
            "name": name,
            "width": width,
            "height": height,
            "source": source,
            "objects": [
                [*_box(own[0].box), own[0].category, [index for index, fate in enumerate(own) if fate.fate == MISSED]]
                for own in fates
                if own[0].fate != IGNORED
            ],
            "found": [
                [
                    [*_box(fate.box), fate.category, round(fate.score, 3), "" if fate.fate == RIGHT else fate.fate]
                    for fate in found.detections
                    if fate.fate != IGNORED
                ]
                for found in by_head
            ],
        }


def _box(box: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in box]


def _extent(found: Sequence[Fates]) -> tuple[int, int]:
    """Return the width and the height that all boxes fit in."""
    boxes = [fate.box for own in found for fate in (*own.objects, *own.detections)]
    return tuple(math.ceil(max((box[axis] + box[axis + 2] for box in boxes), default=1)) for axis in (0, 1))


def small_copy(path: Path) -> tuple[str, tuple[int, int]]:
    """Return an image as a data URI, of 640 px at most and upright, and its own (width, height) in px.

    Raises:
        OSError, DecompressionBombError: it is not there, damaged, or of more pixels than any photograph.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images, and of what is wrong with metadata
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits, which a conversion would cut at 255
            upright = upright.point(lambda value: value * (1 / 256)).convert("L")
        upright = upright.convert("RGB")
    size = upright.size
    upright.thumbnail((_SIDE, _SIDE))
    return _uri(upright), size


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
