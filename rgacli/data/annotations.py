"""COCO annotation files: reading them, and what every part of the toolkit asks of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from numbers import Real
from pathlib import Path
from reprlib import repr as short
from typing import Any

from rgacli.errors import DataError
from rgacli.files import parse_json
from rgacli.wording import function

_NUMBER = (int, float, Real)  # the first two are known at once; Real takes in numpy's
# What training and evaluation read of each entry.
_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "images": {"id": int, "file_name": str, "width": _NUMBER, "height": _NUMBER},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list, "area": _NUMBER},
    "categories": {"id": int, "name": str},
}

CROWDHUMAN = "crowdhuman"

Annotations = dict[str, Any]
"""A COCO annotation file's content: lists of objects under "images", "annotations" and "categories"."""


def load_annotations(path: Path, *, labelled: bool = True, classes: Collection[str] | None = None) -> Annotations:
    """Read an annotation file that training and evaluation can rely on.

    Args:
        path: The file.
        labelled: False lets one do that lists images and categories alone, such as COCO's
            image_info_test-dev2017.json; its annotations are then an empty list.
        classes: Leave out the categories of other names, and their objects; None: all are wanted.

    Raises:
        DataError: As `read_annotations`, and if any entry lacks a field or has one of the wrong type.
    """
    content = read_annotations(path, labelled=labelled)
    for section, index, what in malformed_entries(content):
        raise DataError(f"{path}: {section}[{index}]: {what}; {function('check_dataset')} lists every problem")
    return content if classes is None else _only(content, classes)


def read_annotations(path: Path, *, labelled: bool = True) -> Annotations:
    """Read an annotation file whose entries may still be wrong, to say what is wrong with them.

    Raises:
        DataError: If it cannot be read, is not JSON, or is not an object with the three lists of objects.
    """
    try:
        content = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # of JSON, or of its encoding
        raise DataError(f"{path}: not valid JSON ({error}); it may be cut short, fetch or export it again") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: not COCO annotations: expected an object, found {_kind(content)}")
    if not labelled:
        content.setdefault("annotations", [])
    for section in _FIELDS:
        if section not in content:
            raise DataError(f'{path}: not COCO instance annotations: it has no "{section}"')
        entries = content[section]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f'{path}: not COCO annotations: "{section}" is not a list of objects')
    return content


def malformed_entries(content: Annotations) -> Iterator[tuple[str, int, str]]:
    """Yield (section, index of the entry in it, what) for each field that is missing or cannot be what it says."""
    for section, fields in _FIELDS.items():
        for index, entry in enumerate(content[section]):
            for field, kind in fields.items():
                if field not in entry:
                    yield section, index, f'no "{field}"'
                elif not isinstance(entry[field], kind):
                    yield section, index, f'"{field}" is {_kind(entry[field])}'
                elif kind is _NUMBER and not is_finite(entry[field]):
                    yield section, index, f'"{field}" is {entry[field]}'
                elif kind is list and not is_box(entry[field]):
                    yield section, index, f'"{field}" is {short(entry[field])}, not four finite numbers'


def is_box(value: Any) -> bool:
    """Return whether it is four finite numbers, as (x, y, width, height) has to be."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_finite, value))


def is_finite(value: Any) -> bool:
    """Return whether it is a finite number."""
    # By a bound that float32 holds too: math.isfinite overflows on JSON's unlimited whole numbers.
    return isinstance(value, _NUMBER) and abs(value) < 1e30


def _only(content: Annotations, classes: Collection[str]) -> Annotations:
    categories = [category for category in content["categories"] if category["name"] in classes]
    kept = {category["id"] for category in categories}
    annotations = [annotation for annotation in content["annotations"] if annotation["category_id"] in kept]
    return {**content, "categories": categories, "annotations": annotations}


def gt_boxes(content: Annotations) -> Iterator[dict[str, Any]]:
    """Yield the ground-truth boxes: annotations that are no crowds, of images and categories that are listed."""
    images, categories = ({entry["id"] for entry in content[section]} for section in ("images", "categories"))
    for annotation in content["annotations"]:
        is_listed = annotation["image_id"] in images and annotation["category_id"] in categories
        if is_listed and not annotation.get("iscrowd"):
            yield annotation


def gt_counts(content: Annotations) -> dict[int, int]:
    """Return image id -> number of its ground-truth boxes without crowds, 0 included.

    Annotations of images or categories that are not listed count nowhere.
    """
    counts = {image["id"]: 0 for image in content["images"]}
    for box in gt_boxes(content):
        counts[box["image_id"]] += 1
    return counts


def category_counts(content: Annotations) -> dict[int, int]:
    """Return category id -> number of its ground-truth boxes, 0 included, in the order of the file."""
    found = Counter(box["category_id"] for box in gt_boxes(content))
    return {category["id"]: found[category["id"]] for category in content["categories"]}


def is_crowdhuman(content: Mapping[str, Any]) -> bool:
    """Return whether the file was made by `rgacli.data.crowdhuman.prepare`, which is what its `info` says."""
    info = content.get("info")
    return isinstance(info, dict) and info.get("dataset") == CROWDHUMAN


def has_masks(content: Mapping[str, Any]) -> bool:
    """Return whether every object has a mask, so that masks can be measured."""
    return all(entry.get("segmentation") for entry in content["annotations"])


def load_with_objects(path: Path, split: str, classes: Collection[str] | None = None) -> Annotations:
    """Read an annotation file as `load_annotations` does, for what is to be trained or measured on.

    Args:
        path: The annotation file.
        split: What the error calls it.
        classes: As for `load_annotations`.

    Raises:
        DataError: As `load_annotations`, or if no image has a non-crowd object.
    """
    content = load_annotations(path, classes=classes)
    if not any(gt_counts(content).values()):
        raise DataError(f"{path}: no objects in the {split} split, so there is nothing to learn or to measure on.")
    return content


def category_names(content: Annotations) -> dict[int, str]:
    """Return category id -> name, in the file's order: by it mmdet's CocoDataset numbers a detector's labels."""
    return {category["id"]: category["name"] for category in content["categories"]}


def category_difference(names: Mapping[int, str], others: Mapping[int, str]) -> str | None:
    """Say how the categories of two files differ, in a few words; None if they do not."""
    for category_id in sorted(names.keys() | others.keys()):
        mine, other = names.get(category_id), others.get(category_id)
        if mine != other:
            return f"category {category_id} is {_quoted(other)}, not {_quoted(mine)}"
    if list(names) != list(others):
        return "they stand in another order, by which labels are numbered"
    return None


def _quoted(name: str | None) -> str:
    return "absent" if name is None else f'"{name}"'


def _kind(value: Any) -> str:
    """Return the JSON name of a value's type."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
