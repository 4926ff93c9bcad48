"""Measuring made-up detections as `rgacli eval` measures a detector's: `python -m tests.campaign.measuring FOLDER`.

The folder is `rgacli.bench.coco_sized.write`'s: annotations.json, and a results file 0.json, 1.json, … for each head.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rgacli.evaluation.variants_metric import VariantsCocoMetric


def _found(file: Path) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield image id -> detections, as a detector's head gives them: xyxy, scores, labels."""
    entries = json.loads(file.read_text())
    for image, own in itertools.groupby(entries, key=lambda entry: entry["image_id"]):
        own = list(own)
        boxes = np.array([entry["bbox"] for entry in own], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        scores = np.array([entry["score"] for entry in own], np.float32)
        labels = np.array([entry["category_id"] - 1 for entry in own])
        yield image, {"bboxes": boxes, "scores": scores, "labels": labels}


def main(folder: Path) -> None:
    """Measure, save the detections, and print the metrics."""
    categories = json.loads((folder / "annotations.json").read_text())["categories"]
    metric = VariantsCocoMetric(str(folder / "annotations.json"), str(folder / "detections"), by_bin=True)
    metric.dataset_meta = {"classes": tuple(category["name"] for category in categories)}
    heads = {file.stem: dict(_found(file)) for file in sorted(folder.glob("[0-9].json"))}
    images = next(iter(heads.values()))
    metric.results = [(image, {name: found[image] for name, found in heads.items()}) for image in images]
    del heads
    print(json.dumps(metric.compute_metrics(metric.results)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
