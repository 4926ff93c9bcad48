"""The embedded dataset: drawn, not downloaded, the same for everyone, with both imbalances really in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from rgacli.data.annotations import Annotations
from rgacli.data.cache import cache_folder, kept
from rgacli.data.scenes import CLASS_NAMES, MEDIAN_OBJECTS, SceneObject, draw_scene
from rgacli.data.writing import require_empty
from rgacli.errors import UsageError
from rgacli.files import replacing_folder, write_json
from rgacli.progress import Progress
from rgacli.wording import param

VERSION = 2  # raise it with every change of what is drawn: a cached dataset of another version is not used
SIZES: Mapping[str, int] = {"train": 400, "val": 100, "test": 100}
IMAGE_SIZE = (160, 128)
MAX_OBJECTS = 40
SMALLEST_SIDE = 32  # px of an image; fewer do not hold an object


def write_dataset(
    root: Path,
    *,
    sizes: Mapping[str, int] = SIZES,
    image_size: tuple[int, int] = IMAGE_SIZE,
    seed: int = 0,
    max_objects: int = MAX_OBJECTS,
    median_objects: int = MEDIAN_OBJECTS,
    progress: Progress | None = None,
) -> None:
    """Draw a dataset: `annotations/<split>.json` in COCO format and `images/<split>/*.jpg`.

    The n-th image of a split depends on `seed`, `image_size`, the numbers of objects, the split's name and n alone: a
    larger dataset begins with the smaller one's images.

    Args:
        root: Folder to write into: a new one, or an empty one.
        sizes: Split -> number of images; the splits are those of SIZES, one with no images is not written.
        image_size: (width, height) px.
        seed: 0 or more.
        max_objects: The most objects in one image; the least is 1.
        median_objects: What half the images have no more than.
        progress: Told of each image.

    Raises:
        UsageError: If `root` is not a new or empty folder, or a number is out of range.
    """
    require_empty(root)
    if min(image_size) < SMALLEST_SIDE:
        raise UsageError(
            f"images of {image_size[0]}x{image_size[1]} are too small; {SMALLEST_SIDE} px is the least side."
        )
    if min(max_objects, median_objects) < 1 or seed < 0 or min(sizes.values()) < 0:
        raise UsageError(
            f"{param('max_objects')} and {param('median_objects')} must be 1 or more, {param('seed')} and the numbers "
            "of images 0 or more."
        )

    with replacing_folder(root) as folder:
        _draw(folder, sizes, image_size, seed, max_objects, median_objects, progress)


def _draw(
    root: Path,
    sizes: Mapping[str, int],
    image_size: tuple[int, int],
    seed: int,
    max_objects: int,
    median_objects: int,
    progress: Progress | None,
) -> None:
    done, total = 0, sum(sizes.values())
    for split, number in sizes.items():
        if number == 0:
            continue
        folder = root / "images" / split
        folder.mkdir(parents=True)
        categories = [{"id": label, "name": name} for label, name in enumerate(CLASS_NAMES, start=1)]
        content = {"images": [], "annotations": [], "categories": categories}
        for index in range(number):
            rng = np.random.default_rng([seed, list(SIZES).index(split), index])
            pixels, objects = draw_scene(rng, image_size, max_objects, median_objects)
            encoded = io.BytesIO()  # what finds no room on the disk, Pillow cuts off without a word
            Image.fromarray(pixels).save(encoded, "JPEG", quality=90, subsampling=0)
            (folder / _file_name(index)).write_bytes(encoded.getvalue())
            _annotate(content, index, image_size, objects)
            done += 1
            if progress:
                progress("drawing", done, total)
        write_json(root / "annotations" / f"{split}.json", content)


def _file_name(index: int) -> str:
    return f"{index + 1:06d}.jpg"


def _annotate(content: Annotations, index: int, image_size: tuple[int, int], objects: list[SceneObject]) -> None:
    """Append an image and its objects to `content`."""
    width, height = image_size
    content["images"].append({"id": index + 1, "file_name": _file_name(index), "width": width, "height": height})
    for thing in objects:
        content["annotations"].append(
            {
                "id": len(content["annotations"]) + 1,
                "image_id": index + 1,
                "category_id": thing.label + 1,
                "bbox": [round(value, 2) for value in thing.bbox],
                "area": round(thing.area, 2),
                "iscrowd": 0,
            }
        )


def embedded_dataset(*, test: int = SIZES["test"], progress: Progress | None = None) -> Path:
    """Return the folder of the embedded dataset, drawn on first use (seconds) and kept in the user's cache.

    Args:
        test: Number of test images: with more, the first are the same.
        progress: Told of each image.
    """
    own = {} if test == SIZES["test"] else {"sizes": {**SIZES, "test": test}}
    return kept(embedded_folder(test=test), lambda folder: write_dataset(folder, **own, progress=progress))


def embedded_folder(*, test: int = SIZES["test"]) -> Path:
    """Return where `embedded_dataset` keeps its dataset."""
    own = "" if test == SIZES["test"] else f"-test{test}"
    return cache_folder() / f"embedded-v{VERSION}{own}"
