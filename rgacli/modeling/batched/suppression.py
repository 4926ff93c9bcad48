"""Greedy non-maximum suppression in many groups of boxes at once."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor

from rgacli.modeling.batched.boxes import pairwise_iou
from rgacli.modeling.waiting import is_free

# Rounds between two looks at whether anything still changes. A round settles one link more in a chain of boxes of
# which each suppresses the next; chains are seldom longer than ten.
_ROUNDS = 8
# IoUs held at a time; beyond that, groups are looked at in parts.
_MOST_OVERLAPS = 2**29


def keep(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Return which boxes greedy suppression leaves, (G, N) bool; boxes of different groups are strangers.

    Args:
        boxes: (G, N, 4) xyxy; in each group by falling score.
        valid: (G, N) bool; False is never kept, and suppresses nothing.
        threshold: IoU above which the lower score goes.
        labels: (G, N); boxes of different labels are strangers, too.
    """
    return (keep_one_by_one if is_free(boxes) else keep_at_once)(boxes, valid, threshold, labels)


def keep_one_by_one(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Do it group by group with torchvision's kernel, which on a CPU is the quickest. As `keep`."""
    kept = torch.zeros_like(valid)
    for group in range(len(boxes)):
        places = valid[group].nonzero().squeeze(1)
        own = boxes[group, places].double()  # in which labels can lie side by side without rounding
        if labels is not None and len(places):
            own = own + (labels[group, places] * (own.max() - own.min() + 1))[:, None]
        falling = torch.arange(len(places), 0, -1, dtype=torch.float64)
        kept[group, places[torchvision.ops.nms(own, falling, threshold)]] = True
    return kept


def keep_at_once(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Do it by matrix products, in a number of launches that does not depend on the groups. As `keep`.

    A box stays if no box that stays and comes before it overlaps it. Applied over and over to a guess, this rule is
    right about the first n links of every chain after n rounds, and done when nothing changes: exact, unlike Fast NMS.
    """
    at_once = max(1, _MOST_OVERLAPS // boxes.size(1) ** 2)
    parts = [
        _settled(boxes[start : start + at_once], threshold, valid[start : start + at_once], own)
        for start in range(0, len(boxes), at_once)
        for own in [None if labels is None else labels[start : start + at_once]]
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _settled(boxes: Tensor, threshold: float, valid: Tensor, labels: Tensor | None) -> Tensor:
    over = pairwise_iou(boxes, boxes) > threshold
    if labels is not None:
        over &= labels[:, :, None] == labels[:, None, :]
    # Sums of at most 2,048 ones are exact in half precision; CPUs are slow in it.
    matrix = over.triu_(1).to(torch.float32 if boxes.device.type == "cpu" else torch.float16)
    start = valid.to(matrix.dtype)[:, None, :]  # (G, 1, N)
    kept = start
    while True:
        before = kept
        for _ in range(_ROUNDS):
            before, kept = kept, torch.baddbmm(start, kept, matrix, alpha=-1).relu_()
        if torch.equal(before, kept):
            return kept[:, 0] > 0
