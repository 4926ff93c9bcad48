"""Random COCO data, and pycocotools' verdict on it."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from rgacli.evaluation.coco_metrics import METRICS

SHARED = Path(__file__).parents[2].parent / "shared/data"
REAL_SETS = ("bccd/annotations/test.json", "coco128/annotations/instances_val2017.json")


def shared_annotations(name: str) -> dict[str, Any]:
    """A real dataset's annotations; skips the test where they are absent."""
    if not (SHARED / name).is_file():
        pytest.skip(f"{name} is not on this machine")
    return json.loads((SHARED / name).read_text())


def random_annotations(seed: int, images: int = 40, categories: tuple[int, ...] = (1, 2, 7)) -> dict[str, Any]:
    """Images with 0 to 12 boxes of all of COCO's sizes; one box in ten is a crowd; class 7 is rare."""
    rng = random.Random(seed)
    boxes = []
    for image in range(1, images + 1):
        for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 6, 7, 8, 12])):
            width, height = (math.exp(rng.uniform(2, 5.3)) for _ in range(2))
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": image,
                    "category_id": rng.choices(categories, [8, 4, 1][: len(categories)])[0],
                    "bbox": [rng.uniform(0, 400), rng.uniform(0, 300), width, height],
                    "area": width * height * rng.uniform(0.5, 1),
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
    return {
        "images": [
            {"id": image, "width": 640, "height": 480, "file_name": f"{image}.jpg"} for image in range(1, images + 1)
        ],
        "categories": [{"id": category, "name": f"class {category}"} for category in categories],
        "annotations": boxes,
    }


def noisy_detections(annotations: dict[str, Any], seed: int, noise: float = 4.0) -> list[dict[str, Any]]:
    """Ground truth moved about by `noise` pixels: some missed, some doubled, some of the wrong class, and strays."""
    rng = random.Random(seed)
    categories = [category["id"] for category in annotations["categories"]]
    detections = []

    def detect(image: int, category: int, box: list[float], score: float) -> None:
        moved = [value + rng.gauss(0, noise) for value in box]
        detections.append(
            {
                "image_id": image,
                "category_id": category,
                "bbox": [*moved[:2], abs(moved[2]), abs(moved[3])],
                "score": round(score, 2),  # rounded, for ties
            }
        )

    for entry in annotations["annotations"]:
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            category = entry["category_id"] if rng.random() < 0.9 else rng.choice(categories)
            detect(entry["image_id"], category, entry["bbox"], rng.betavariate(4, 2))
    for image in annotations["images"]:
        for _ in range(rng.choice([0, 1, 3])):
            box = [rng.uniform(0, 400), rng.uniform(0, 300), rng.uniform(5, 200), rng.uniform(5, 200)]
            detect(image["id"], rng.choice(categories), box, rng.betavariate(2, 4))
    return detections


def with_masks(annotations: dict[str, Any], detections: list[dict[str, Any]]) -> None:
    """Gives each box a mask, in place: objects a triangle, as a polygon, crowds and detections run lengths."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in annotations["images"]}
    for entry in annotations["annotations"]:
        triangle = _triangle(entry["bbox"])
        entry["segmentation"] = [triangle]
        if entry["iscrowd"]:
            encoded = _rasterise(triangle, sizes[entry["image_id"]])
            pixels = rle.decode(encoded).flatten(order="F")
            changes = [0, *(pixels[1:] != pixels[:-1]).nonzero()[0] + 1, len(pixels)]
            runs = [int(end - start) for start, end in itertools.pairwise(changes)]
            entry["segmentation"] = {"size": encoded["size"], "counts": [0, *runs] if pixels[0] else runs}
    for detection in detections:
        encoded = _rasterise(_triangle(detection["bbox"]), sizes[detection["image_id"]])
        detection["segmentation"] = {**encoded, "counts": encoded["counts"].decode()}


def _triangle(bbox: list[float]) -> list[float]:
    x, y, width, height = bbox
    return [x, y, x + width, y, x + width / 2, y + height]


def _rasterise(polygon: list[float], size: tuple[int, int]) -> dict[str, Any]:
    return rle.merge(rle.frPyObjects([polygon], *size))


def pycocotools_metrics(
    annotations: dict[str, Any],
    detections: list[dict[str, Any]],
    images: list[int] | None = None,
    iou_type: str = "bbox",
    max_dets: int = 100,
) -> dict[str, float]:
    """The reference: pycocotools on these images alone, its -1 as NaN."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(annotations)
        truth.createIndex()
        if detections:
            found = truth.loadRes(copy.deepcopy(detections))
        else:  # loadRes fails on an empty list
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, iou_type)
        if images is not None:
            evaluation.params.imgIds = images
        evaluation.params.maxDets = [1, 10, 100] if max_dets == 100 else [max_dets]
        evaluation.evaluate()
        evaluation.accumulate()
        if max_dets == 100:
            evaluation.summarize()
    # pycocotools' own summary knows no other number.
    values = evaluation.stats[:6] if max_dets == 100 else _summary(evaluation.eval["precision"][..., -1])
    return {name: math.nan if value < 0 else float(value) for name, value in zip(METRICS, values, strict=True)}


def _summary(precision: np.ndarray) -> list[float]:
    """METRICS of precision (IoU thresholds, recalls, classes, sizes), as pycocotools takes their means."""
    parts = [precision[..., 0], precision[0, ..., 0], precision[5, ..., 0], *(precision[..., i] for i in (1, 2, 3))]
    return [part[part > -1].mean() if (part > -1).any() else -1 for part in parts]
