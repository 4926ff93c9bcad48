"""Greedy non-maximum suppression in many groups of boxes at once."""

from __future__ import annotations

import math

import torch
import torchvision
from torch import Tensor

from rgacli.modeling.batched.boxes import pairwise_iou
from rgacli.modeling.waiting import is_free

# IoUs held at a time, at 16 bytes each for a moment; beyond that, groups are looked at in parts.
_MOST_OVERLAPS = 2**29
# Boxes of a group that are looked at all at once; its IoUs grow with their square.
_MOST_AT_ONCE = 4096


def keep(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None, *, rounds: int = 32) -> Tensor:
    """Return which boxes greedy suppression leaves, (G, N) bool; boxes of different groups are strangers.

    Args:
        boxes: (G, N, 4) xyxy; in each group by falling score.
        valid: (G, N) bool; False is never kept, and suppresses nothing.
        threshold: IoU above which the lower score goes.
        labels: (G, N); boxes of different labels are strangers, too.
        rounds: On a GPU, until it is looked whether anything still changes, which waits for it. A round settles one
            link more of a chain of boxes of which each suppresses the next.
    """
    if is_free(boxes) or boxes.size(1) > _MOST_AT_ONCE:
        return keep_one_by_one(boxes, valid, threshold, labels)
    while True:
        kept, is_settled = keep_at_once(boxes, valid, threshold, labels, rounds)
        if is_settled:  # waits
            return kept
        rounds *= 2


def keep_unless_deep(
    boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None, *, rounds: int
) -> tuple[Tensor, Tensor]:
    """Return what `keep` does without waiting for the device, and whether that is right, as a tensor () to look at.

    It is not where boxes form chains of more than so many links; arguments as for `keep`.
    """
    if is_free(boxes):
        return keep_one_by_one(boxes, valid, threshold, labels), valid.new_ones(())
    return keep_at_once(boxes, valid, threshold, labels, rounds)


def keep_one_by_one(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Do it group by group with torchvision's kernel, which on a CPU is the quickest. As `keep`."""
    if not (boxes.is_cuda or boxes.is_cpu):  # Apple's GPUs have no double
        return keep_one_by_one(boxes.cpu(), valid.cpu(), threshold, None if labels is None else labels.cpu()).to(valid)
    kept = torch.zeros_like(valid)
    for group in range(len(boxes)):
        places = valid[group].nonzero().squeeze(1)
        own = boxes[group, places].double()  # in which labels can lie side by side without rounding
        if labels is not None and len(places):
            own = own + (labels[group, places] * (own.max() - own.min() + 1))[:, None]
        falling = torch.arange(len(places), 0, -1, dtype=torch.float64, device=own.device)
        kept[group, places[torchvision.ops.nms(own, falling, threshold)]] = True
    return kept


def keep_at_once(
    boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None, rounds: int
) -> tuple[Tensor, Tensor]:
    """Do it in a number of launches that does not depend on the groups. As `keep_unless_deep`.

    A box stays if no box that stays and comes before it overlaps it. Applied over and over to a guess, this rule is
    right about the first n links of every chain after n rounds, and done when nothing changes: exact, unlike Fast NMS.
    """
    at_once = max(1, _MOST_OVERLAPS // boxes.size(1) ** 2)
    groups = (boxes, valid) if labels is None else (boxes, valid, labels)
    parts = zip(*(each.split(at_once) for each in groups), strict=True)
    found = [_settled(threshold, rounds, *part) for part in parts]
    if len(found) == 1:
        return found[0]
    kept, is_settled = zip(*found, strict=True)
    return torch.cat(kept), torch.stack(is_settled).all()


def _settled(
    threshold: float, rounds: int, boxes: Tensor, valid: Tensor, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    over = pairwise_iou(boxes, boxes) > threshold  # (G, N, N): row j, column i
    over &= valid[:, None, :]
    if labels is not None:
        over &= labels[:, :, None] == labels[:, None, :]
    # A round in one launch, as a distance in the maximum norm: let d be 1 for a box that stays and 2 for one that goes,
    # and b be 3 where box i comes before j and overlaps it, else 2. Then max |d_i - b_ji| is 2 if some i that stays
    # overlaps j, else 1.
    b = over.tril_(-1) + 2.0
    before = d = torch.ones_like(b[:, :1])
    for _ in range(rounds):
        before, d = d, torch.cdist(d, b, p=math.inf)
    return (d[:, 0] == 1) & valid, (before == d).all()
