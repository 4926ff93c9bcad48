"""Weighted boxes fusion (Solovyev et al., 2021) of detectors of the same weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WBF_IOU = 0.55  # its paper's


def fuse(
    boxes: Sequence[np.ndarray], scores: Sequence[np.ndarray], labels: Sequence[np.ndarray], *, iou: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average those boxes of T detectors that overlap, on one image and class by class.

    Boxes are visited by falling score. Each joins the cluster whose average so far it overlaps most, or founds one.
    Coordinates are averaged weighted by score; N boxes with scores s_i become one of score

        mean(s_i) * min(T, N) / T

    so that what only some of the detectors found is lowered. The order of the detectors does not matter: boxes of
    equal score are visited by x1, then y1, x2 and y2.

    Args:
        boxes: T times (D_t, 4), xyxy in any unit. Those without area or without a score above 0 are dropped.
        scores: T times (D_t,), comparable between detectors.
        labels: T times (D_t,).
        iou: A box joins a cluster only if they overlap by more.

    Returns:
        Boxes (F, 4), scores (F,) and labels (F,), by falling score.
    """
    detectors = len(boxes)
    boxes, scores = np.concatenate(boxes, dtype=np.float64), np.concatenate(scores, dtype=np.float64)
    labels = np.concatenate(labels)
    usable = (scores > 0) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    boxes, scores, labels = boxes[usable], scores[usable], labels[usable]
    order = np.lexsort((*boxes.T[::-1], -scores, labels))
    boxes, scores, labels = boxes[order], scores[order], labels[order]

    means, weights, sizes = np.zeros_like(boxes), np.zeros_like(scores), np.zeros(len(boxes), dtype=np.int64)
    founders = []  # cluster -> the box that founded it
    first = 0  # of the clusters of this class
    for number, (box, score) in enumerate(zip(boxes, scores, strict=True)):
        if number and labels[number] != labels[number - 1]:
            first = len(founders)
        overlaps = _iou(box, means[first : len(founders) + 1])  # the last one is empty yet, and overlaps nothing
        cluster = first + overlaps.argmax()
        if overlaps[cluster - first] <= iou:
            cluster = len(founders)
            founders.append(number)
        sizes[cluster] += 1
        weights[cluster] += score
        means[cluster] += (box - means[cluster]) * (score / weights[cluster])  # leaves a box alone exactly as it is

    means, weights, sizes = (each[: len(founders)] for each in (means, weights, sizes))
    fused_scores = weights / sizes * np.minimum(sizes, detectors) / detectors
    order = np.argsort(-fused_scores, kind="stable")
    return means[order], fused_scores[order], labels[founders][order]


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (N,), the IoU of a box (4,) that has an area with others (N, 4)."""
    x1, y1, x2, y2 = box
    left, top, right, bottom = others.T
    width = np.minimum(right, x2) - np.maximum(left, x1)
    height = np.minimum(bottom, y2) - np.maximum(top, y1)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    return shared / ((right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - shared)
