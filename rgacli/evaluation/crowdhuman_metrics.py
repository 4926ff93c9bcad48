"""CrowdHuman's metrics, by mmdet's CrowdHumanMetric and from the official annotations [arXiv 1805.00123, Sec. 4.2].

mmdet's class writes detections to a file to read them back, and for JI forks processes again for each threshold, for
which it waits without end if one fails. Here its parts are called on detections in memory, in this process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)
from rgacli.evaluation.benchmark import CrowdHuman

# isort: split
from mmdet.evaluation.metrics.crowdhuman_metric import PERSON_CLASSES, CrowdHumanMetric, Image

METRICS = CrowdHuman.metrics

_JI_THRESHOLDS = tuple(0.1 * step for step in range(10))  # of the score


def evaluate(
    annotations: Mapping[str, Any], records: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Measure one set of detections.

    Boxes are clipped to their images first. A detection is true if its IoU with a person not matched yet exceeds
    0.5; one that matches none, but lies by more than half in a box to ignore, does not count.

    Args:
        annotations: The COCO dict that `rgacli.data.crowdhuman.prepare` made of the records.
        records: As `rgacli.data.crowdhuman.official_records` returns them.
        detections: In COCO's results format.

    Returns:
        In [0, 1], NaN where there are no persons. mMR: the log-average miss rate at nine rates of false positives
        per image in [10⁻², 10⁰], the less the better. AP50: the area under precision over recall, by trapezoids from
        the first detection on. JI: the Jaccard index of detections and persons, mean over the images, at the score
        threshold best for it.
    """
    samples = _samples(annotations, records, detections)
    persons = sum(sample.gt_num - sample.ign_num for sample in samples.values())
    if not persons:
        return dict.fromkeys(METRICS, math.nan)
    metric = CrowdHumanMetric(ann_file="")
    matches = metric.compare(samples)
    with np.errstate(divide="ignore", invalid="ignore"):  # log of a miss rate of 0; JI where nothing is left to count
        miss_rate = metric.eval_mr(matches, persons, len(samples)) if matches else 1.0  # mmdet's is NaN without any
        indices = [_jaccard_index(metric, samples, threshold) for threshold in _JI_THRESHOLDS]
    precision = metric.eval_ap(matches, persons, len(samples))
    return {"mMR": float(miss_rate), "AP50": float(precision), "JI": float(np.nanmax(indices))}


def _samples(
    annotations: Mapping[str, Any], records: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]
) -> dict[str, Image]:
    """Return image ID -> what mmdet's metric reads of an image, boxes as (x1, y1, x2, y2, score or tag)."""
    boxes: dict[int, list[tuple[float, ...]]] = {image["id"]: [] for image in annotations["images"]}
    for detection in detections:
        x, y, w, h = detection["bbox"]
        boxes[detection["image_id"]].append((x, y, x + w, y + h, detection["score"]))
    images = {image["crowdhuman_id"]: image for image in annotations["images"]}
    samples = {}
    for record in records:
        image, sample = images[record["ID"]], Image(mode=0)  # mode 0: full bodies
        if record["gtboxes"]:
            sample.load(record, None, None, PERSON_CLASSES, gt_flag=True)
        else:  # which load() fails on
            sample.ID, sample.gt_boxes, sample.gt_num, sample.ign_num = record["ID"], np.empty((0, 5)), 0, 0
        sample.width, sample.height = image["width"], image["height"]
        sample.dt_boxes = np.array(boxes[image["id"]], dtype=np.float64).reshape(-1, 5)
        sample.clip_all_boader()
        samples[record["ID"]] = sample
    return samples


def _jaccard_index(metric: CrowdHumanMetric, samples: dict[str, Image], threshold: float) -> float:
    counted = _Results()
    metric.compute_ji_with_ignore(counted, samples, threshold)
    return metric.gather(counted)[1]


class _Results(list):
    """A stand-in for the queue on which mmdet's processes report."""

    put_nowait = list.append
