"""Detections on disk, in COCO's results format: a JSON list of {image_id, category_id, bbox (xywh, pixels), score}."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from numbers import Real
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np
from pycocotools import mask as rle

from rgacli.data.annotations import is_box, is_finite, load_annotations
from rgacli.errors import DataError, UsageError
from rgacli.files import parse_json, replacing
from rgacli.wording import param

KEYS = ("image_id", "category_id", "bbox", "score")
_KEYS = frozenset(KEYS)
_AT_A_TIME = 100_000
_ROUNDING = 1e-6  # of a softmax in float32


def load_results(
    source: Path | str | list[dict[str, Any]], annotations: Mapping[str, Any], *, probabilities: bool = False
) -> list[dict[str, Any]]:
    """Return detections that can be evaluated against `annotations`.

    An empty list is legal, and so are images without detections.

    Args:
        source: A COCO results file, or its content.
        annotations: A validated COCO dict, as `rgacli.data.annotations.load_annotations` returns it.
        probabilities: Scores are to lie in [0, 1], so that those of several detectors can be compared.

    Raises:
        DataError: no such file, not JSON, not a list of detections, missing keys, images or categories that the
            annotations lack, boxes or scores that are not finite numbers, scores that are no probabilities.
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
        [f"image {entry['image_id']}" for entry in detections if not _is_proper_box(entry["bbox"])],
        "have a bbox that is not four finite numbers with width and height >= 0",
        "write boxes as [x, y, width, height] in pixels.",
    )
    refuse(
        [f"image {entry['image_id']}" for entry in detections if not is_finite(entry["score"])],
        "have a score that is not a finite number",
        "look for NaN or infinity in the detector's output.",
    )
    if probabilities:
        refuse(
            [short(entry["score"]) for entry in detections if not 0 <= entry["score"] <= 1 + _ROUNDING],
            "have a score outside [0, 1]",
            "scores of several detectors are compared: write probabilities.",
        )
    return detections


def save_results(path: Path | str, detections: Sequence[Mapping[str, Any]]) -> None:
    """Write detections as a COCO results file, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for first in range(0, len(detections), _AT_A_TIME):  # never all of them as text
            text = json.dumps(list(detections[first : first + _AT_A_TIME]))
            file.write(("[" if first == 0 else ", ") + text[1:-1])
        file.write("]" if len(detections) else "[]")


def coco_results(image_id: int, found: Mapping[str, Any], category_of: Sequence[int]) -> list[dict[str, Any]]:
    """Return one image's detections in COCO's results format.

    Args:
        image_id: Of the image.
        found: `bboxes` (D, 4) xyxy, `scores` (D,), `labels` (D,), and `masks` where there are any: D run lengths.
        category_of: Label -> category id.
    """
    boxes = found["bboxes"].astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]  # xyxy -> xywh
    columns = zip(boxes.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
    results = [
        {"image_id": image_id, "category_id": category_of[label], "bbox": box, "score": score}
        for box, score, label in columns
    ]
    for result, mask in zip(results, found.get("masks", ()), strict="masks" in found):
        result["segmentation"] = mask
    return results


def encode_masks(masks: np.ndarray) -> list[dict[str, Any]]:
    """Return the run lengths, as COCO's results have them, of masks (D, H, W)."""
    encoded = rle.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
    return [{**mask, "counts": mask["counts"].decode("ascii")} for mask in encoded]


def decode_masks(segmentations: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """Return masks (D, H, W) of bool.

    Args:
        segmentations: As COCO's annotations or results have them: polygons or run lengths.
        size: (height, width) px of the image.
    """
    masks = np.zeros((len(segmentations), *size), bool)
    for mask, segmentation in zip(masks, segmentations, strict=True):
        if isinstance(segmentation, list) or isinstance(segmentation["counts"], list):
            segmentation = rle.frPyObjects(segmentation, *size)
        encoded = rle.merge(segmentation) if isinstance(segmentation, list) else segmentation
        mask[:] = rle.decode(encoded)
    return masks


def require_score(score: float) -> None:
    """Raise a UsageError unless it lies in [0, 1]."""
    if not 0 <= score <= 1:
        raise UsageError(f"{param('score', score)}: scores lie between 0 and 1.")


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: no such results file.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:  # of JSON, or of its encoding
        raise DataError(f"{path}: not JSON ({error}); it may be cut off, write it again.") from None


def _has_keys(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.keys() >= _KEYS


def _is_one_of(value: Any, known: Collection[int]) -> bool:
    return isinstance(value, Real) and value in known  # a number first: JSON may hold lists, which do not hash


def _is_proper_box(value: Any) -> bool:
    return is_box(value) and min(value[2:]) >= 0


def _sample(known: Iterable[int]) -> str:
    first = sorted(known)[:4]
    return "those have no such entry at all" if not first else f"those know {', '.join(map(str, first))}, …"


class LazyResults(Mapping[str, list[dict[str, Any]]]):
    """Name -> detections, read whenever they are asked for: in memory are those that somebody holds, and no more.

    Args:
        readers: Name -> what reads its detections.
    """

    def __init__(self, readers: Mapping[str, Callable[[], list[dict[str, Any]]]]) -> None:
        self._readers = readers

    def __getitem__(self, name: str) -> list[dict[str, Any]]:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def load_named_results(
    results: Sequence[str] | Mapping[str, Path], annotations: Path | None, *, probabilities: bool = False
) -> tuple[dict, LazyResults]:
    """Return the ground truth, and name -> detections, of results files, which are read when they are asked for.

    Args:
        results: NAME=FILE each, or name -> file.
        annotations: The COCO annotations that they were made for.
        probabilities: As for `load_results`.

    Raises:
        UsageError, DataError: a parameter or the annotations are malformed, or there is no such file; of detections
            that are malformed, when they are read.
    """
    if annotations is None:
        raise UsageError(
            f"{param('results')} needs {param('annotations', 'FILE')}, the COCO annotations they were made for."
        )
    files = results if isinstance(results, Mapping) else _named_files(results)
    truth = load_annotations(Path(annotations))
    for file in files.values():
        if not Path(file).exists():
            raise DataError(f"{file}: no such results file.")
    readers = {
        name: partial(load_results, Path(file), truth, probabilities=probabilities) for name, file in files.items()
    }
    return truth, LazyResults(readers)


def _named_files(results: Sequence[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for result in results:
        name, equals, file = result.partition("=")
        if not (name and equals and file):
            raise UsageError(f"{param('results', result)} is not of the form NAME=FILE.")
        if name in files:
            raise UsageError(f"{param('results')}: the name {name} stands twice.")
        files[name] = file
    return files
