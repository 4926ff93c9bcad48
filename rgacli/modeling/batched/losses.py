"""The losses of mmdet's heads on boxes of which some do not count."""

from __future__ import annotations

import torch
from mmdet.models.losses import L1Loss, SmoothL1Loss
from mmdet.models.losses.smooth_l1_loss import l1_loss, smooth_l1_loss
from torch import Tensor, nn

from rgacli.modeling.batched.boxes import encode


def box_loss(head: nn.Module, deltas: Tensor, boxes: Tensor, objects: Tensor, counts: Tensor) -> Tensor:
    """Return the weighted regression losses (N, 4) of a head, zero where a box does not count.

    Args:
        head: mmdet's, with a `bbox_coder` and a `loss_bbox` that `support` lets pass.
        deltas: (N, 4), predicted.
        boxes: (N, 4) xyxy, what they start from.
        objects: (N, 4) xyxy, what they should lead to; anything where a box does not count.
        counts: (N,) bool.
    """
    weights = counts[:, None]
    # Those that do not count may be empty: their targets would be infinite, and so would gradients of 0 times those.
    targets = torch.where(weights, encode(head.bbox_coder, boxes, objects), deltas.detach().float())
    return loss_of_boxes(head.loss_bbox, deltas, targets, weights.expand_as(deltas))


def loss_of_boxes(loss: L1Loss | SmoothL1Loss, found: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the elements of a loss of mmdet's, without its look at whether all weights are 0, which would wait."""
    if isinstance(loss, SmoothL1Loss):
        elements = smooth_l1_loss(found, targets, weights, beta=loss.beta, reduction="none")
    else:
        elements = l1_loss(found, targets, weights, reduction="none")
    return loss.loss_weight * elements
