"""mmdet's RPNHead for a batch: its losses and its proposals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.utils import ConfigType
from torch import Tensor, nn

from rgacli.compat.native_ops import wide
from rgacli.modeling.batched.anchors import Anchors, allowed, anchors
from rgacli.modeling.batched.assigning import assign
from rgacli.modeling.batched.boxes import decode, take
from rgacli.modeling.batched.drawing import draw
from rgacli.modeling.batched.losses import box_loss
from rgacli.modeling.batched.proposals import Proposals
from rgacli.modeling.batched.suppression import keep
from rgacli.modeling.batched.truth import Truth, per_image

# On a trained detector, chains of proposals that suppress the next (see `suppression.keep`) have 16 to 22 links among
# the 1,000 best of a level, which detections come from, and 18 to 29 among the 2,000 that a training looks at.
_ROUNDS, _ROUNDS_IN_TRAINING = 24, 32


def loss_and_proposals(
    rpn_head: nn.Module, x: Sequence[Tensor], truth: Truth, metas: Sequence[dict], cfg: ConfigType
) -> tuple[dict[str, Tensor], Proposals]:
    """Return `loss_rpn_cls` and `loss_rpn_bbox`, and the proposals that the R-CNN modules are to learn from.

    Args:
        rpn_head: mmdet's.
        x: Feature maps, each (B, C, H, W).
        truth: Of the batch.
        metas: mmdet's, per image.
        cfg: mmdet's `train_cfg.rpn_proposal`.
    """
    logits, deltas, found = _outputs(rpn_head, x)
    limits = _limits(metas, found.boxes)
    losses = _losses(rpn_head, logits, deltas, found, truth, allowed(found, rpn_head, metas, limits))
    return losses, _proposals(rpn_head, logits, deltas, found, limits, cfg, _ROUNDS_IN_TRAINING)


def propose(rpn_head: nn.Module, x: Sequence[Tensor], metas: Sequence[dict], cfg: ConfigType) -> Proposals:
    """Return the proposals that detections are to come from; `cfg` is mmdet's `test_cfg.rpn`, else as above."""
    logits, deltas, found = _outputs(rpn_head, x)
    return _proposals(rpn_head, logits, deltas, found, _limits(metas, found.boxes), cfg, _ROUNDS)


def _outputs(rpn_head: nn.Module, x: Sequence[Tensor]) -> tuple[Tensor, Tensor, Anchors]:
    """Return objectness logits (B, A) and box deltas (B, A, 4) of all anchors, and the anchors."""
    logits, deltas = rpn_head(x)
    found = anchors(rpn_head, tuple(tuple(level.shape[-2:]) for level in logits), logits[0].device)
    images = len(logits[0])
    return (
        torch.cat([level.permute(0, 2, 3, 1).reshape(images, -1) for level in logits], dim=1),
        torch.cat([level.permute(0, 2, 3, 1).reshape(images, -1, 4) for level in deltas], dim=1),
        found,
    )


def _limits(metas: Sequence[dict], like: Tensor) -> Tensor:
    """Return width, height, width, height, padded width, padded height of each image, (B, 6)."""
    rows = []
    for meta in metas:
        height, width = meta["img_shape"][:2]
        padded_height, padded_width = (meta.get("pad_shape") or meta["batch_input_shape"])[:2]
        rows.append([width, height, width, height, padded_width, padded_height])
    return per_image(rows, like)


def _losses(
    rpn_head: nn.Module, logits: Tensor, deltas: Tensor, found: Anchors, truth: Truth, inside: Tensor
) -> dict[str, Tensor]:
    sampler, anchor_boxes = rpn_head.sampler, found.boxes
    assigned = assign(rpn_head.assigner, truth, anchor_boxes[None], inside)
    keys = torch.rand(assigned.shape, device=assigned.device)[None]
    drawn = draw(assigned, keys, sampler.num, [int(sampler.num * sampler.pos_fraction)])
    index, is_positive = drawn.index[0], drawn.is_positive[0]
    weights = drawn.weights(rpn_head.train_cfg["pos_weight"])[0]
    # As mmdet counts: none of a kind in an image counts as one.
    factor = (drawn.positives.clamp(min=1) + drawn.negatives.clamp(min=1)).sum()
    loss_cls = rpn_head.loss_cls(
        logits.gather(1, index).flatten(), is_positive.flatten().long(), weights.flatten(), avg_factor=factor
    )
    matched = assigned.gather(1, index).sub_(1).clamp_(min=0)
    loss_bbox = box_loss(
        rpn_head,
        take(deltas, index).view(-1, 4),
        anchor_boxes[index].view(-1, 4),
        take(truth.boxes, matched).view(-1, 4),
        is_positive.flatten(),
    )
    return {"loss_rpn_cls": loss_cls, "loss_rpn_bbox": loss_bbox.sum() / factor}


@torch.no_grad()
def _proposals(
    rpn_head: nn.Module,
    logits: Tensor,
    deltas: Tensor,
    found: Anchors,
    limits: Tensor,
    cfg: ConfigType,
    rounds: int,
) -> Proposals:
    # In half precision most of the best would have the same score, 1.
    scores, index = _ranked(wide(logits.detach()).sigmoid(), found, cfg.get("nms_pre", -1))  # (B, L·size)
    deltas = take(deltas.detach(), index)
    boxes = decode(rpn_head.bbox_coder, found.boxes[index], deltas, limits[:, None, :4])
    valid = scores >= 0
    if (smallest := cfg.get("min_bbox_size", -1)) >= 0:
        valid &= (boxes[..., 2:] - boxes[..., :2] > smallest).all(dim=-1)
    levels = len(found.counts)
    groups = boxes.unflatten(1, (levels, -1)).flatten(0, 1), valid.unflatten(1, (levels, -1)).flatten(0, 1)
    valid = keep(*groups, cfg.nms.iou_threshold, rounds=rounds).view_as(scores)
    scores, order = _first(scores.masked_fill(~valid, -1), cfg.max_per_img)
    valid = scores >= 0
    boxes = take(boxes, order).mul_(valid[..., None])
    return Proposals(boxes, scores, valid)


def _ranked(scores: Tensor, found: Anchors, limit: int) -> tuple[Tensor, Tensor]:
    """Return each level's best anchors by falling score, scores and which, (B, L·size); -1 where a level has fewer."""
    counts, starts, table, missing = found.places(limit)
    levels = zip(scores.split(found.counts, dim=1), counts, strict=True)
    best, places = zip(*(_first(level, count) for level, count in levels), strict=True)
    which = torch.cat(places, dim=1).add_(starts)[:, table.flatten()]
    return torch.cat(best, dim=1)[:, table.flatten()].masked_fill_(missing.flatten(), -1), which


def _first(scores: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the highest scores of each row and where they stand, (B, ≤ number).

    Of equal ones, which anchors on one colour have, the first come first, as in mmdet's way; topk takes any.
    """
    best, places = scores.sort(dim=1, descending=True, stable=True)
    return best[:, :number], places[:, :number]
