"""Ground truth and results files of COCO val2017's size: for what has to be fast, or to fit in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 80
OBJECTS = 7.3  # per image of val2017, on average; the median is 4, the densest image has 63
DETECTIONS = 100


def annotations(images: int = 5000, seed: int = 0) -> dict[str, Any]:
    """Return a COCO dict: a few classes are frequent, a few images crowded, 1 image of 100 empty, 1 box of 80 a crowd.

    Args:
        images: Their number.
        seed: Of the drawing.
    """
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.geometric(1 / OBJECTS, images), 63) * (rng.random(images) > 0.01)
    owners = np.repeat(np.arange(1, images + 1), counts)
    boxes = _boxes(rng, len(owners))
    classes = rng.choice(CLASSES, len(owners), p=_frequencies()) + 1
    crowds = rng.random(len(owners)) < 1 / 80
    columns = zip(owners.tolist(), classes.tolist(), boxes.tolist(), crowds.tolist(), strict=True)
    return {
        "images": [{"id": i, "file_name": f"{i:012}.jpg", "width": 640, "height": 480} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "area": 0.7 * box[2] * box[3],
                "iscrowd": int(crowd),
            }
            for number, (image, category, box, crowd) in enumerate(columns, start=1)
        ],
    }


def detections(truth: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    """Return `DETECTIONS` per image: 7 objects of 10 are found, a few pixels off, and the rest is false, of low score.

    Args:
        truth: As `annotations` returns it.
        seed: Of the detector; those of different seeds find different objects.
    """
    rng = np.random.default_rng(seed + 1000)
    entries = truth["annotations"]
    found = np.flatnonzero(rng.random(len(entries)) < 0.7)
    owners = np.array([entry["image_id"] for entry in entries])[found]
    classes = np.array([entry["category_id"] for entry in entries])[found]
    boxes = np.array([entry["bbox"] for entry in entries])[found]
    boxes = boxes + rng.normal(0, 0.08, boxes.shape) * np.tile(boxes[:, 2:], 2)
    scores = rng.beta(3, 2, len(found))

    images = np.array([image["id"] for image in truth["images"]])
    free = DETECTIONS - np.bincount(owners, minlength=images[-1] + 1)[images]
    false = int(free.sum())
    owners = np.concatenate([owners, np.repeat(images, free)])
    classes = np.concatenate([classes, rng.choice(CLASSES, false, p=_frequencies()) + 1])
    boxes = np.concatenate([boxes, _boxes(rng, false)])
    scores = np.concatenate([scores, rng.beta(1, 12, false)])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    order = np.lexsort((-scores, owners))  # image by image, as detectors write them
    columns = (column[order].tolist() for column in (owners, classes, boxes, scores))
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in zip(*columns, strict=True)
    ]


def write(folder: Path, names: Sequence[str], images: int = 5000) -> list[str]:
    """Write annotations.json and a results file per name into a folder; return how --results are to name those.

    Args:
        folder: Where they go.
        names: Of the detectors.
        images: Their number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = annotations(images)
    (folder / "annotations.json").write_text(json.dumps(truth))
    files = [folder / f"{seed}.json" for seed in range(len(names))]
    for seed, file in enumerate(files):
        file.write_text(json.dumps(detections(truth, seed)))
    return [f"{name}={file}" for name, file in zip(names, files, strict=True)]


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return boxes (count, 4) xywh in pixels, of all of COCO's sizes."""
    sides = np.exp(rng.uniform(np.log(8), np.log(400), (count, 2)))
    return np.concatenate([rng.random((count, 2)) * np.maximum([640, 480] - sides, 1), sides], axis=1)


def _frequencies() -> np.ndarray:
    """Return how frequent each class is (CLASSES,): the first, as COCO's persons, is every fourth object."""
    weights = 1 / np.arange(1, CLASSES + 1)
    return weights / weights.sum()
