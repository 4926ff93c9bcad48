"""Detections on disk, in COCO's results format: a JSON list of {image_id, category_id, bbox (xywh, pixels), score}."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from numbers import Real
from pathlib import Path
from reprlib import repr as short
from typing import Any

from rgacli.errors import DataError
from rgacli.files import write_json

KEYS = ("image_id", "category_id", "bbox", "score")


def load_results(source: Path | str | list[dict[str, Any]], annotations: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Detections that can be evaluated against `annotations`.

    An empty list is legal, and so are images without detections.

    Args:
        source: A COCO results file, or its content.
        annotations: A validated COCO dict, as `rgacli.data.annotations.load_annotations` returns it.

    Raises:
        DataError: no such file, not JSON, not a list of detections, missing keys, images or categories that the
            annotations lack, boxes or scores that are not finite numbers.
    """
    name, detections = ("the results", source) if isinstance(source, list) else (str(source), _read(Path(source)))
    if not isinstance(detections, list):
        raise DataError(
            f"{name}: holds a {type(detections).__name__}, not a list of detections; "
            "give a file in COCO's results format."
        )

    def refuse(offenders: list[str], what: str, remedy: str) -> None:
        if offenders:
            first = ", ".join(islice(dict.fromkeys(offenders), 3))
            count = f"{len(offenders)} of {len(detections)} detections"
            raise DataError(f"{name}: {count} {what} (first: {first}); {remedy}")

    refuse(
        [f"entry {i}" for i, entry in enumerate(detections) if not _has_keys(entry)],
        f"lack one of {', '.join(KEYS)}",
        "write every detection with all four.",
    )
    for key, group in (("image_id", "images"), ("category_id", "categories")):
        known = {item["id"] for item in annotations[group]}
        refuse(
            [short(entry[key]) for entry in detections if not _is_one_of(entry[key], known)],
            f"refer to {group} that the annotations lack",
            f"give the annotations they were made for ({_sample(known)}).",
        )
    refuse(
        [f"image {entry['image_id']}" for entry in detections if not _is_box(entry["bbox"])],
        "have a bbox that is not four finite numbers with width and height >= 0",
        "write boxes as [x, y, width, height] in pixels.",
    )
    refuse(
        [f"image {entry['image_id']}" for entry in detections if not _is_finite(entry["score"])],
        "have a score that is not a finite number",
        "look for NaN or infinity in the detector's output.",
    )
    return detections


def save_results(path: Path | str, detections: Sequence[Mapping[str, Any]]) -> None:
    """Atomically writes detections as a COCO results file."""
    write_json(path, detections)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: no such results file.") from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise DataError(f"{path}: not JSON ({error}); it may be cut off, write it again.") from None


def _has_keys(entry: Any) -> bool:
    return isinstance(entry, dict) and all(key in entry for key in KEYS)


def _is_one_of(value: Any, known: Collection[int]) -> bool:
    return isinstance(value, Real) and value in known  # a number first: JSON may hold lists, which do not hash


def _is_box(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(_is_finite, value)) and min(value[2:]) >= 0


def _is_finite(value: Any) -> bool:
    # By a bound that float32 holds too: math.isfinite overflows on JSON's unlimited whole numbers.
    return isinstance(value, Real) and abs(value) < 1e30


def _sample(known: Iterable[int]) -> str:
    first = sorted(known)[:4]
    return "those have no such entry at all" if not first else f"those know {', '.join(map(str, first))}, …"
