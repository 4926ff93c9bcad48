"""Detections that are worth something, of detectors that are hardly trained."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from rgacli.evaluation import variants_metric


def find_nearly(patch: pytest.MonkeyPatch, ann_file: Path) -> None:
    """Has detectors find each object of a split a few pixels off, at a random score: AP between 0 and 1."""
    objects = defaultdict(list)
    for entry in json.loads(ann_file.read_text())["annotations"]:
        objects[entry["image_id"]].append(entry)
    rng = np.random.default_rng(0)

    def off_by_pixels(image_id, instances, category_of):
        return [
            {
                "image_id": image_id,
                "category_id": entry["category_id"],
                "bbox": (np.array(entry["bbox"]) + rng.normal(0, 1.5, 4)).clip(1).tolist(),
                "score": rng.random(),
            }
            for entry in objects[image_id]
        ]

    patch.setattr(variants_metric, "coco_results", off_by_pixels)
