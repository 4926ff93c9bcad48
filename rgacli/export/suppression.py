"""Non-maximum suppression of many groups of boxes at once, and ranking, in shapes that hold for every image."""

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
    """Return scores (G, P), which are `GONE` where NMS within their group does not keep the box.

    Args:
        boxes: (G, P, 4) xyxy.
        scores: (G, P).
        iou_threshold: A box goes that overlaps one of a higher score by more.
        score_threshold: A box goes whose score is no higher.
        limit: How many a group keeps at most.
    """
    kept = _NonMaxSuppression.apply(boxes, scores[:, None], iou_threshold, score_threshold, limit or sys.maxsize)
    groups, rows = kept[:, 0], kept[:, 2]
    left = torch.full_like(scores, GONE)
    left[groups, rows] = scores[groups, rows]
    return left


def moved_apart(boxes: Tensor, candidates: Tensor, groups: Tensor) -> Tensor:
    """Return boxes moved by group, so that none meets one of another, as mmcv's batched_nms moves them.

    Groups that are suppressed each for themselves are moved as well: mmdet's overlaps are of rounded coordinates.

    Args:
        boxes: (N, …, 4) xyxy.
        candidates: (N, …) bool: whose coordinates tell how far.
        groups: (N, …) int.
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
    """ONNX's NonMaxSuppression: rows (group, 0, box) of the boxes that are kept."""

    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, limit: int
    ) -> Tensor:
        kept = []
        for group, (own, (own_scores,)) in enumerate(zip(boxes, scores, strict=True)):
            rows = torch.where(own_scores > score_threshold)[0]
            rows = rows[torchvision.ops.nms(own[rows], own_scores[rows], iou_threshold)[:limit]]
            kept.append(F.pad(rows[:, None], (2, 0)) + rows.new_tensor([group, 0, 0]))
        return torch.cat(kept)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, score_threshold: float, limit: int) -> Any:
        def constant(value: float, dtype: torch.dtype) -> Any:
            return g.op("Constant", value_t=torch.tensor([value], dtype=dtype))

        limits = (constant(limit, torch.int64), *(constant(t, torch.float32) for t in (iou_threshold, score_threshold)))
        return g.op("NonMaxSuppression", boxes, scores, *limits)
