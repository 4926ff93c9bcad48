"""Checking a dataset before training on it: what would fail, and what would silently be lost."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from rgacli.data.annotations import (
    Annotations,
    category_counts,
    category_difference,
    category_names,
    gt_counts,
    is_crowdhuman,
    malformed_entries,
    read_annotations,
)
from rgacli.data.images import upright_size
from rgacli.data.splits import Split
from rgacli.errors import DataError
from rgacli.progress import Progress, in_threads

GT_COUNT_BINS: dict[str, tuple[int, float]] = {"0": (0, 0), "1-3": (1, 3), "4-7": (4, 7), "8+": (8, math.inf)}
TOLERANCE = 1.0  # px that a box may stick out of its image: annotation tools round outwards
PARTLY_OUTSIDE = "box partly outside the image"

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a dataset.

    Attributes:
        severity: "error": training would fail, or learn what is wrong. "warning": it runs, but look at this.
        kind: What problems of one sort have in common.
        where: The file, image, annotation or category.
        what: What is wrong there.
    """

    severity: Severity
    kind: str
    where: str
    what: str


@dataclass(frozen=True)
class CategoryCount:
    """A category and the number of its non-crowd boxes."""

    id: int
    name: str
    objects: int


@dataclass(frozen=True)
class SplitReport:
    """What a split holds and what is wrong with it.

    Attributes:
        annotation_file: Its annotations.
        image_folder: Where its images lie.
        images: Number of images.
        objects: Number of non-crowd boxes.
        gt_counts: GT-count bin (a key of GT_COUNT_BINS) -> number of images in it.
        categories: In the order of the file.
        problems: All that were found.
        densest: Number of non-crowd boxes of the image that has the most.
    """

    annotation_file: Path
    image_folder: Path
    images: int
    objects: int
    gt_counts: dict[str, int]
    categories: list[CategoryCount]
    problems: list[Problem] = field(default_factory=list)
    densest: int = 0


def gt_count_histogram(counts: Iterable[int]) -> dict[str, int]:
    """Return the number of images in each of GT_COUNT_BINS, from each image's number of ground-truth boxes."""
    frequency = Counter(counts)
    return {
        name: sum(images for count, images in frequency.items() if low <= count <= high)
        for name, (low, high) in GT_COUNT_BINS.items()
    }


def check_splits(
    splits: Mapping[str, Split], *, limit: int | None = None, progress: Progress | None = None
) -> dict[str, SplitReport]:
    """Check each split as `check_split` does, and that they all have the same categories."""
    reports = {name: check_split(split, limit=limit, progress=progress) for name, split in splits.items()}
    names = {name: {category.id: category.name for category in report.categories} for name, report in reports.items()}
    readable = [name for name in names if names[name]]  # the others have their problem already
    for name in readable[1:]:
        if difference := category_difference(names[readable[0]], names[name]):
            what = f"not those of {readable[0]}: {difference}"
            problem = Problem("error", "other categories", str(splits[name].annotations), what)
            reports[name] = dataclasses.replace(reports[name], problems=[problem, *reports[name].problems])
    return reports


def check_split(split: Split, *, limit: int | None = None, progress: Progress | None = None) -> SplitReport:
    """Check a split's annotations, and that each image can be decoded and has the size they say.

    Args:
        split: As `find_splits` finds it.
        progress: Told of each image.
    """
    try:
        content = read_annotations(split.annotations)
    except DataError as error:
        where = str(split.annotations)
        problem = Problem("error", "unusable annotation file", where, error.message.removeprefix(f"{where}: "))
        return SplitReport(split.annotations, split.images, 0, 0, gt_count_histogram([]), [], [problem])

    full_bodies = is_crowdhuman(content)
    problems, content = _set_malformed_apart(content)
    problems += _duplicates(content)
    object_problems = list(_object_problems(content, beyond_border=full_bodies))
    problems += filter(None, object_problems)
    problems += _absences(split, content, object_problems)
    looked_at = in_threads(lambda image: _image_problem(split.images, image), content["images"], progress, "decoding")
    problems += filter(None, looked_at)

    counts = gt_counts(content)
    problems += _dense_images(content, counts, limit)
    per_category = category_counts(content)
    return SplitReport(
        annotation_file=split.annotations,
        image_folder=split.images,
        images=len(counts),
        objects=sum(counts.values()),
        gt_counts=gt_count_histogram(counts.values()),
        categories=[CategoryCount(key, name, per_category[key]) for key, name in category_names(content).items()],
        problems=problems,
        densest=max(counts.values(), default=0),
    )


def _set_malformed_apart(content: Annotations) -> tuple[list[Problem], Annotations]:
    """Return the problems of entries that lack what every later check reads, and the content without those entries."""
    problems = []
    malformed = set()
    for section, index, what in malformed_entries(content):
        problems.append(Problem("error", "malformed entry", f"{section}[{index}]", what))
        malformed.add((section, index))
    rest = {
        section: [entry for index, entry in enumerate(content[section]) if (section, index) not in malformed]
        for section in ("images", "annotations", "categories")
    }
    return problems, rest


def _duplicates(content: Annotations) -> Iterator[Problem]:
    """Yield ids, names and files that stand for more than one entry."""
    unique: tuple[tuple[Severity, str, str, str], ...] = (
        ("error", "images", "id", "only one of them would be used, with the objects of all"),
        ("error", "annotations", "id", "mmdet refuses such a file"),
        ("error", "categories", "id", "only one of them would be used"),
        ("error", "categories", "name", "a detector has one label for each name"),
        ("warning", "images", "file_name", "in each, the objects of the others would be background"),
    )
    for severity, section, key, consequence in unique:
        for value, times in Counter(entry[key] for entry in content[section]).items():
            if times > 1:
                what = f"{times} {section} have it: {consequence}"
                yield Problem(severity, f"duplicate {key} in {section}", f"{key} {value}", what)


def _absences(split: Split, content: Annotations, object_problems: list[Problem | None]) -> Iterator[Problem]:
    """Yield what is empty and must not be."""
    for section in ("images", "categories"):
        if not content[section]:
            yield Problem("error", f"no {section}", str(split.annotations), f"it has no usable entry in {section}")
    usable = (
        not annotation.get("iscrowd") and (problem is None or problem.kind == PARTLY_OUTSIDE)
        for annotation, problem in zip(content["annotations"], object_problems, strict=True)
    )
    if not any(usable):
        yield Problem("error", "no objects", str(split.annotations), "it has no object to learn or to measure on")


def _dense_images(content: Annotations, counts: Mapping[int, int], limit: int | None) -> Iterator[Problem]:
    """Yield, of images with more objects than the limit, the densest, and how many there are."""
    dense = [image for image in content["images"] if limit and counts[image["id"]] > limit]
    if dense:
        densest = max(dense, key=lambda image: counts[image["id"]])
        what = (
            f"{counts[densest['id']]} objects, and {len(dense)} of {len(counts)} images have more than the {limit} "
            "detections that the config's limits allow: for more than 100, training raises them by itself, and "
            "evaluation counts as many detections as the densest image needs (max_dets sets another number)"
        )
        yield Problem("warning", "more objects than detections", densest["file_name"], what)


def _object_problems(content: Annotations, beyond_border: bool) -> Iterator[Problem | None]:
    """Yield what is wrong with each annotation, in their order; None where nothing is.

    Args:
        content: The annotations.
        beyond_border: Boxes are meant to reach beyond the image where the objects do.
    """
    images = {image["id"]: image for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    for annotation in content["annotations"]:
        image = images.get(annotation["image_id"])
        where = f"annotation {annotation['id']}" + (f" of {image['file_name']}" if image else "")
        if image is None:
            what = f"image {annotation['image_id']} is not listed: left out in training"
            yield Problem("warning", "object of an unknown image", where, what)
        elif annotation["category_id"] not in categories:
            what = f"category {annotation['category_id']} is not listed: the object would be background"
            yield Problem("error", "object of an unknown category", where, what)
        elif found := _box_problem(annotation, image, beyond_border):
            severity, kind, what = found
            yield Problem(severity, kind, where, what)
        else:
            yield None


def _box_problem(
    annotation: Mapping[str, Any], image: Mapping[str, Any], beyond_border: bool
) -> tuple[Severity, str, str] | None:
    """Return (severity, kind, what) of an object's box, judged by what mmdet's CocoDataset would make of it."""
    bbox, width, height = annotation["bbox"], image["width"], image["height"]
    x, y, w, h = bbox
    if w < 0 or h < 0:
        return "error", "box of negative size", f"{bbox} is not (x, y, width, height)"
    if w < 1 or h < 1 or not annotation["area"] > 0:  # COCO itself has a few
        return "warning", "object without area", f"box {bbox}, area {annotation['area']}: left out in training"
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        severity = "warning" if beyond_border else "error"
        return severity, "box outside the image", f"{bbox} in an image of {width}x{height}: left out in training"
    if annotation.get("ignore"):
        return "warning", "ignored object", 'it has "ignore" set: left out in training'
    if not beyond_border and (min(x, y) < -TOLERANCE or x + w > width + TOLERANCE or y + h > height + TOLERANCE):
        return "warning", PARTLY_OUTSIDE, f"{bbox} in an image of {width}x{height}"
    return None


def _image_problem(folder: Path, image: Mapping[str, Any]) -> Problem | None:
    size = image_size(folder, image["file_name"], decode=True)
    if isinstance(size, Problem):
        return size
    if size != (image["width"], image["height"]):
        what = f"the file is {size[0]}x{size[1]}, the annotations say {image['width']}x{image['height']}"
        return Problem("error", "image of another size", image["file_name"], what)
    return None


def image_size(folder: Path, name: str, *, decode: bool) -> tuple[int, int] | Problem:
    """Return (width, height) px of an image as mmcv would load it, or what keeps it from being loaded.

    Args:
        folder: That `name` is relative to.
        name: The file's.
        decode: Read the file to its end, not only its header.
    """
    try:
        if (folder / name).exists() and not (folder / name).is_file():  # it might have no end
            return Problem("error", "unreadable image", name, "not a file but a folder, a FIFO, a socket or a device")
        with Image.open(folder / name) as image:
            size = upright_size(image)
            if decode:
                image.draft(None, (1, 1))  # a JPEG is still read to its end, but not every pixel computed
                image.load()
            return size
    except FileNotFoundError:
        return Problem("error", "missing image", name, f"not in {folder}")
    except Exception as error:  # Pillow's decoders raise many types, SyntaxError and struct.error among them
        return Problem("error", "unreadable image", name, str(error) or type(error).__name__)
