"""Several detectors' boxes on the same images as one detector's: what needs nothing of them but their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rgacli.evaluation.coco_metrics import Evaluation
from rgacli.evaluation.gt_bins import GTBin, assign
from rgacli.evaluation.result_arrays import ResultArrays
from rgacli.evaluation.wbf import WBF_IOU, fuse
from rgacli.progress import Progress

NMS_IOU = 0.5  # mmdet's two-stage detectors'

Results = Sequence[Mapping[str, Any]]
"""Detections in COCO's results format."""


def joint_nms(
    detectors: Sequence[Results], *, iou: float = NMS_IOU, limit: int | None = None, progress: Progress | None = None
) -> ResultArrays:
    """Mix the detectors' boxes, then apply class-wise NMS (paper, Sec. 3.3).

    Args:
        detectors: Each one's detections, with scores that can be compared.
        iou: Of two boxes of a class that overlap by more, the one of the lower score goes.
        limit: The most that an image keeps, by score.
        progress: Told of each image.
    """
    import torch
    from torchvision.ops import batched_nms

    detectors = list(map(ResultArrays.of, detectors))
    # NMS reckons with classes as floats, which large ids do not fit in.
    known = np.unique(np.concatenate([own.category_ids for own in detectors]))
    fused = []
    for own in _by_image(detectors, progress, "joint-nms"):
        mixed = ResultArrays.joined(own)
        classes = np.searchsorted(known, mixed.category_ids)
        corners = mixed.corners - mixed.corners.min(initial=0)  # it sets classes apart by the largest coordinate
        kept = batched_nms(*map(torch.from_numpy, (corners, mixed.scores, classes)), iou)
        fused.append(mixed.take(kept[:limit].numpy()))
    return ResultArrays.joined(fused)


def weighted_boxes_fusion(
    detectors: Sequence[Results], *, iou: float = WBF_IOU, limit: int | None = None, progress: Progress | None = None
) -> ResultArrays:
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
    for own in _by_image(list(map(ResultArrays.of, detectors)), progress, "wbf"):
        columns = zip(*((each.corners, each.scores, each.category_ids) for each in own), strict=True)
        boxes, scores, categories = fuse(*columns, iou=iou)
        boxes[:, 2:] -= boxes[:, :2]
        image_ids = np.repeat(np.concatenate([each.image_ids for each in own])[:1], len(scores))
        fused.append(ResultArrays(image_ids, categories, boxes, scores).take(slice(limit)))
    return ResultArrays.joined(fused)


def oracle(
    detectors: Mapping[str, Results], evaluations: Mapping[str, Evaluation], bins: Sequence[GTBin]
) -> tuple[ResultArrays, dict[str, str]]:
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


def select(detectors: Mapping[str, Results], names: Mapping[int, str]) -> ResultArrays:
    """Return, of each image, the detections of one detector.

    Args:
        detectors: Name -> detections.
        names: Image id -> name.
    """
    taken = []
    for name, found in detectors.items():
        own = ResultArrays.of(found)
        is_taken = [names[image] == name for image in own.image_ids.tolist()]
        taken.append(own.take(np.array(is_taken, dtype=bool)))
    return ResultArrays.joined(taken)


def _by_image(detectors: Sequence[ResultArrays], progress: Progress | None, task: str) -> Iterator[list[ResultArrays]]:
    """Yield each detector's detections on an image, of one image after the other as they first come."""
    images = list(dict.fromkeys(image for own in detectors for image in own.image_ids.tolist()))
    places = [_places(own.image_ids) for own in detectors]
    nothing = np.empty(0, dtype=np.int64)
    for done, image in enumerate(images, start=1):
        yield [own.take(found.get(image, nothing)) for own, found in zip(detectors, places, strict=True)]
        if progress:
            progress(task, done, len(images))


def _places(ids: np.ndarray) -> dict[int, np.ndarray]:
    """Return id -> where it stands, in order."""
    order = np.argsort(ids, kind="stable")
    known, firsts = np.unique(ids[order], return_index=True)
    return dict(zip(known.tolist(), np.split(order, firsts)[1:], strict=True))  # nothing stands before the first
