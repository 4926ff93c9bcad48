"""mmdet's MaxIoUAssigner for a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rgacli.modeling.batched.boxes import pairwise_iou
from rgacli.modeling.batched.truth import Truth

# IoUs held at a time; beyond that, objects are looked at in parts.
_MOST_OVERLAPS = 2**26


def assign(assigner: Any, truth: Truth, boxes: Tensor, allowed: Tensor) -> Tensor:
    """Return what each box is assigned to, (B, N): 0 background, g+1 object g, -1 neither.

    Args:
        assigner: mmdet's MaxIoUAssigner, with such settings as `support` lets pass.
        truth: The objects.
        boxes: (B, N, 4) xyxy, or (1, N, 4) of boxes that all images share.
        allowed: (B, N) bool; False is assigned to -1.
    """
    images, objects = truth.valid.shape
    at_once = max(1, _MOST_OVERLAPS // (images * boxes.size(1)))
    found = None
    for start in range(0, objects, at_once):
        own = Truth(*(part[:, start : start + at_once] for part in truth))
        found = _better(found, _best(assigner, own, boxes, allowed, start))
    best, which, forced = found
    assigned = (which + 1).masked_fill_(best < assigner.pos_iou_thr, -1).masked_fill_(best < assigner.neg_iou_thr, 0)
    if forced is not None:
        assigned = torch.where(forced > 0, forced, assigned)
    return assigned.masked_fill_(~allowed, -1)


def _best(
    assigner: Any, truth: Truth, boxes: Tensor, allowed: Tensor, start: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return of each box (B, N) its highest IoU, with which object, and which object's best box it is (0: none's)."""
    overlaps = pairwise_iou(truth.boxes, boxes)
    overlaps.masked_fill_(~(truth.valid[:, :, None] & allowed[:, None, :]), -1)
    best, which = overlaps.max(dim=1)
    if not assigner.match_low_quality:
        return best, which + start, None
    highest = overlaps.amax(dim=2, keepdim=True)
    is_best = (overlaps == highest) & (highest >= assigner.min_pos_iou)
    numbers = torch.arange(start + 1, start + 1 + truth.valid.size(1), dtype=torch.int32, device=boxes.device)
    # Of several objects whose best box it is, mmdet takes the last.
    return best, which + start, (is_best * numbers[:, None]).amax(dim=1)


def _better(
    a: tuple[Tensor, Tensor, Tensor | None] | None, b: tuple[Tensor, Tensor, Tensor | None]
) -> tuple[Tensor, Tensor, Tensor | None]:
    if a is None:
        return b
    is_better = b[0] > a[0]
    best, which = (torch.where(is_better, new, old) for old, new in zip(a[:2], b[:2], strict=True))
    return best, which, None if a[2] is None else torch.maximum(a[2], b[2])
