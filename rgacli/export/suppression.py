"""Non-maximum suppression of a batch's boxes, and ranking, in shapes that hold for every image."""

from __future__ import annotations

import sys
from typing import Any

import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

GONE = -1.0
"""The score of a box that is not kept, and of one that fills a row of too few."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int | None) -> Tensor:
    """Return scores (N, P), which are `GONE` where NMS within their image does not keep the box.

    Args:
        boxes: (N, P, 4) xyxy.
        scores: (N, P).
        iou_threshold: A box goes that overlaps one of a higher score by more.
        score_threshold: A box goes whose score is no higher.
        limit: How many an image keeps at most.
    """
    kept = _NonMaxSuppression.apply(boxes, scores[:, None], iou_threshold, score_threshold, limit or sys.maxsize)
    images, rows = kept[:, 0], kept[:, 2]
    return put(torch.full_like(scores, GONE), images, rows, scores[images, rows])


def put(values: Tensor, images: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Return values (N, P, …) with others (R, …) in these rows of these images, both (R,).

    Not by an assignment: where R is 1, as it may be in a trace, it drops that axis, and the trace keeps this.
    """
    return torch.index_put(values, (images, rows), others)


def moved_apart(boxes: Tensor, candidates: Tensor, groups: Tensor) -> Tensor:
    """Return boxes moved by group, so that NMS takes each for itself, as mmcv's batched_nms moves an image's.

    Args:
        boxes: (N, …, 4) xyxy.
        candidates: (N, …) bool: the boxes whose coordinates tell how far.
        groups: (N, …) int, such as classes.
    """
    span = torch.where(candidates[..., None], boxes, 0.0).flatten(1).amax(dim=1) + 1
    span = span.reshape(-1, *[1] * (candidates.dim() - 1))
    return boxes + (groups * span)[..., None]


def best(scores: Tensor, limit: int | None) -> tuple[Tensor, Tensor]:
    """Return the highest scores of each row in falling order, and where they stand: both (N, limit).

    A row of fewer is filled up: with `GONE`, at 0.

    Args:
        scores: (N, P).
        limit: How many; all of them without.
    """
    if limit:
        scores, order = F.pad(scores, (0, limit), value=GONE).topk(limit, dim=1)
    else:
        scores, order = scores.sort(dim=1, descending=True)
    return scores, order * (scores > GONE)


class _NonMaxSuppression(torch.autograd.Function):
    """ONNX's NonMaxSuppression: (image, 0, box) of each box that is kept."""

    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int
    ) -> Tensor:
        kept = []
        for image, (own, (own_scores,)) in enumerate(zip(boxes, scores, strict=True)):
            rows = torch.where(own_scores > score_threshold)[0]
            rows = rows[torchvision.ops.nms(own[rows], own_scores[rows], iou_threshold)[:limit]]
            kept.append(F.pad(rows[:, None], (2, 0)) + rows.new_tensor([image, 0, 0]))
        return torch.cat(kept)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, score_threshold: float, limit: int) -> Any:
        def constant(value: float, dtype: torch.dtype) -> Any:
            return g.op("Constant", value_t=torch.tensor([value], dtype=dtype))

        limits = (constant(limit, torch.int64), *(constant(t, torch.float32) for t in (iou_threshold, score_threshold)))
        kept = g.op("NonMaxSuppression", boxes, scores, *limits)
        kept.setType(boxes.type().with_dtype(torch.int64).with_sizes([None, 3]))  # any number, not the trace's
        return kept
