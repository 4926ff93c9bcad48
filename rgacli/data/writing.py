"""Writing a dataset whole, images and all: in COCO's format, or in YOLO's."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from rgacli.data.annotations import Annotations, category_names, gt_counts, is_crowdhuman
from rgacli.data.splits import Split
from rgacli.data.yolo import CONFIG
from rgacli.data.yolo_labels import label_file
from rgacli.errors import DataError, UsageError
from rgacli.files import write_json, write_text
from rgacli.progress import Progress

Images = Literal["copy", "link"]
Content = Mapping[str, tuple[Split, Annotations]]
"""Split -> where its images are, and its annotations as `load_annotations` reads them."""


@dataclass(frozen=True)
class SplitWritten:
    """What of a split was written.

    Attributes:
        images: Number of images.
        objects: Number of objects, without crowds.
        crowds_left_out: Number of crowds that were not written, since YOLO's format knows none.
    """

    images: int
    objects: int
    crowds_left_out: int


def require_empty(folder: Path) -> None:
    """Raise a UsageError unless `folder` is empty or not there; what is hidden, of killed commands, does not count."""
    if folder.exists() and not (folder.is_dir() and not any(folder.glob("[!.]*"))):
        raise UsageError(f"{folder} is there already and is not an empty folder; choose a new one.")


def write_coco(
    folder: Path, content: Content, images: Images, *, progress: Progress | None = None
) -> dict[str, SplitWritten]:
    """Write `annotations/<split>.json` and `images/<split>/`, the annotations with all that they have.

    Args:
        folder: Where there is nothing yet.
        content: What is written.
        images: Whether the images are copied, or linked to.
        progress: Told of each image.

    Raises:
        DataError: If an image is missing.
    """
    _place_images(folder, content, images, progress)
    written = {}
    for name, (split, coco) in content.items():
        written[name] = SplitWritten(len(coco["images"]), sum(gt_counts(coco).values()), 0)
        if is_crowdhuman(coco):  # whose metrics are computed from the official file, where that lies
            odgt = os.path.normpath(split.annotations.parent / coco["info"]["odgt"])
            coco = {**coco, "info": {**coco["info"], "odgt": odgt}}
        write_json(folder / "annotations" / f"{name}.json", coco)
    return written


def write_yolo(
    folder: Path, content: Content, images: Images, *, polygons: bool, progress: Progress | None = None
) -> dict[str, SplitWritten]:
    """Write data.yaml, `images/<split>/` and `labels/<split>/`; what an image has no objects of has an empty file.

    hotcoco's `to_yolo` is not used: it rounds to six digits, numbers the classes by the categories' ids where mmdet
    goes by their order, and writes no polygons. Here numbers have all digits that a float has.

    Args:
        folder: Where there is nothing yet.
        content: What is written; crowds are left out.
        images: Whether the images are copied, or linked to.
        polygons: Write each object's polygon (`one_polygon_each`), not its box.
        progress: Told of each image.

    Raises:
        DataError: If two images would share a label file, an object's category is not listed, or an image is missing.
    """
    written = {}
    for name, (split, coco) in content.items():
        labels = _labels(folder / "images" / name, split, coco, polygons)
        for file, lines in labels.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(lines), encoding="utf-8")
        crowds = sum(bool(each.get("iscrowd")) for each in coco["annotations"])
        written[name] = SplitWritten(len(labels), sum(map(len, labels.values())), crowds)
    _place_images(folder, content, images, progress)
    names = list(category_names(next(iter(content.values()))[1]).values())
    # No `path`: it would be taken from the working folder; without it, the file's own folder counts.
    config = {**{name: f"images/{name}" for name in content}, "nc": len(names), "names": dict(enumerate(names))}
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return written


def one_polygon_each(contents: Iterable[Annotations]) -> bool:
    """Return whether each object but crowds has a mask that is one polygon, so that YOLO's format can hold it."""
    masks = [
        each.get("segmentation") for content in contents for each in content["annotations"] if not each.get("iscrowd")
    ]
    return bool(masks) and all(isinstance(mask, list) and len(mask) == 1 and len(mask[0]) >= 6 for mask in masks)


def _labels(folder: Path, split: Split, annotations: Annotations, polygons: bool) -> dict[Path, list[str]]:
    """Return label file -> its lines, of the images that will lie in `folder`."""
    numbers = {category: number for number, category in enumerate(category_names(annotations))}
    things = defaultdict(list)
    for each in annotations["annotations"]:
        if each["category_id"] not in numbers:
            raise DataError(f"{split.annotations}: annotation {each['id']}: no category {each['category_id']}")
        if not each.get("iscrowd"):
            things[each["image_id"]].append(each)
    labels: dict[Path, list[str]] = {}
    for image in annotations["images"]:
        file, size = label_file(folder / _inside(split, image["file_name"])), (image["width"], image["height"])
        if file in labels:
            raise DataError(f"{split.annotations}: image {image['file_name']} would share its label file with another")
        labels[file] = [_line(numbers[each["category_id"]], each, size, polygons) for each in things[image["id"]]]
    return labels


def _line(number: int, annotation: Mapping[str, Any], size: Sequence[float], polygon: bool) -> str:
    width, height = size
    if polygon:
        points = annotation["segmentation"][0]
        values = [value / size[index % 2] for index, value in enumerate(points)]
    else:
        x, y, w, h = annotation["bbox"]
        values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    return " ".join([str(number), *map(repr, values)]) + "\n"


def _place_images(folder: Path, content: Content, images: Images, progress: Progress | None) -> None:
    files = [
        (split.images / image["file_name"], folder / "images" / name / _inside(split, image["file_name"]))
        for name, (split, coco) in content.items()
        for image in coco["images"]
    ]
    if missing := [source for source, _ in files if not source.is_file()]:
        raise DataError(f"{len(missing)} of {len(files)} images are missing (first: {missing[0]})")
    for done, (source, target) in enumerate(files, start=1):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():  # the annotations list it twice
            continue
        if images == "link":
            target.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, target)
        if progress:
            progress("linking" if images == "link" else "copying", done, len(files))


def _inside(split: Split, file_name: str) -> PurePosixPath:
    """Return an image's name, which must not lead out of the folder that images are written to."""
    name = PurePosixPath(file_name)
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{split.annotations}: image {file_name} is not in the folder of its images")
    return name
