"""Several detectors' boxes on the same images as one detector's: what needs nothing of them but their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rgacli.evaluation.coco_metrics import Evaluation
from rgacli.evaluation.gt_bins import GTBin, assign
from rgacli.evaluation.wbf import WBF_IOU, fuse
from rgacli.progress import Progress

NMS_IOU = 0.5  # mmdet's two-stage detectors'

Results = Sequence[Mapping[str, Any]]
"""Detections in COCO's results format."""


def joint_nms(
    detectors: Sequence[Results], *, iou: float = NMS_IOU, limit: int | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Mix the detectors' boxes, then apply class-wise NMS (paper, Sec. 3.3).

    Args:
        detectors: Each one's detections, with scores that can be compared.
        iou: Of two boxes of a class that overlap by more, the one of the lower score goes.
        limit: The most that an image keeps, by score.
        progress: Told of each image.
    """
    import torch
    from torchvision.ops import batched_nms

    fused, number_of = [], _class_numbers(detectors)
    for _, by_detector in _by_image(detectors, progress, "joint-nms"):
        mixed = [detection for own in by_detector for detection in own]
        boxes = torch.from_numpy(_corners(mixed))
        scores = torch.tensor([detection["score"] for detection in mixed], dtype=boxes.dtype)
        classes = torch.tensor([number_of[detection["category_id"]] for detection in mixed])
        fused += [_box_only(mixed[i]) for i in batched_nms(boxes, scores, classes, iou)[:limit].tolist()]
    return fused


def weighted_boxes_fusion(
    detectors: Sequence[Results], *, iou: float = WBF_IOU, limit: int | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Average overlapping boxes: weighted boxes fusion (Solovyev et al., 2021).

    A box that only some of the detectors found has its score lowered in proportion.

    Args:
        detectors: Each one's detections, all of the same weight, with scores that can be compared. Boxes without area
            or score are dropped.
        iou: A box is averaged with those of its class whose average it overlaps by more.
        limit: The most that an image keeps, by score.
        progress: Told of each image.
    """
    fused = []
    for image_id, by_detector in _by_image(detectors, progress, "wbf"):
        boxes, scores, categories = fuse(
            [_corners(own) for own in by_detector],
            [np.array([detection["score"] for detection in own]) for own in by_detector],
            [np.array([detection["category_id"] for detection in own], dtype=np.int64) for own in by_detector],
            iou=iou,
        )
        boxes[:, 2:] -= boxes[:, :2]
        columns = zip(categories[:limit].tolist(), boxes[:limit].tolist(), scores[:limit].tolist(), strict=True)
        fused += [
            {"image_id": image_id, "category_id": category, "bbox": box, "score": score}
            for category, box, score in columns
        ]
    return fused


def oracle(
    detectors: Mapping[str, Results], evaluations: Mapping[str, Evaluation], bins: Sequence[GTBin]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Take each image by the detector that is best for its true GT-count bin: what perfect dispatch would give.

    It looks at the annotations of the images that it is evaluated on, twice: to count their objects, and to tell which
    detector is best on a bin. It is no method that could be used, but the headroom of those that can.

    Args:
        detectors: Name -> detections.
        evaluations: Name -> the same, evaluated.
        bins: Bins that do not overlap. Images in none go to the detector that is best over all.

    Returns:
        Detections, and bin label -> name of the detector, with "all" for images in no bin.
    """
    by_bin = {name: evaluation.by_bin(bins) for name, evaluation in evaluations.items()}
    counts = next(iter(evaluations.values())).gt_counts
    chosen = {"all": best({name: evaluation.overall["AP"] for name, evaluation in evaluations.items()})}
    for gt_bin in bins:
        chosen[gt_bin.label] = best({name: found[gt_bin.label]["AP"] for name, found in by_bin.items()})
    names = dict.fromkeys(counts, chosen["all"])
    for label, images in assign(counts, bins).items():
        names |= dict.fromkeys(images, chosen[label])
    return select(detectors, names), chosen


def best(values: Mapping[str, float]) -> str:
    """Return the name of the highest value, the first of equals; NaN is below all."""
    return max(values, key=lambda name: (not np.isnan(values[name]), values[name]))


def select(detectors: Mapping[str, Results], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return, of each image, the detections of one detector.

    Args:
        detectors: Name -> detections.
        names: Image id -> name.
    """
    return [_box_only(d) for name, found in detectors.items() for d in found if names[d["image_id"]] == name]


def _class_numbers(detectors: Sequence[Results]) -> dict[int, int]:
    """Return category id -> its rank: NMS reckons with classes as floats, which large ids do not fit in."""
    ids = {detection["category_id"] for found in detectors for detection in found}
    return {category: number for number, category in enumerate(sorted(ids))}


def _by_image(
    detectors: Sequence[Results], progress: Progress | None, task: str
) -> Iterator[tuple[int, list[list[Mapping[str, Any]]]]]:
    """Yield image id, and each detector's detections there."""
    images: dict[int, list[list]] = defaultdict(lambda: [[] for _ in detectors])
    for index, found in enumerate(detectors):
        for detection in found:
            images[detection["image_id"]][index].append(detection)
    for done, entry in enumerate(images.items(), start=1):
        yield entry
        if progress:
            progress(task, done, len(images))


def _corners(detections: Results) -> np.ndarray:
    """Return (D, 4) xyxy."""
    boxes = np.array([detection["bbox"] for detection in detections], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _box_only(detection: Mapping[str, Any]) -> dict[str, Any]:
    """Return a detection without its mask, which no fusion of boxes keeps true."""
    return {key: detection[key] for key in ("image_id", "category_id", "bbox", "score")}
