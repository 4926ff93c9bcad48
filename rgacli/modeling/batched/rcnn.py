"""The losses of K parallel R-CNN modules for a batch (paper, Sec. 3.2): assigned once, drawn, cropped once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rgacli.modeling.batched.assigning import assign
from rgacli.modeling.batched.boxes import as_rois, take
from rgacli.modeling.batched.drawing import Draws, draw
from rgacli.modeling.batched.losses import box_loss
from rgacli.modeling.batched.proposals import Proposals
from rgacli.modeling.batched.truth import Truth


class Samples(NamedTuple):
    """What K heads learn from, S RoIs of each of B images.

    Attributes:
        rois: (U, 5), image index and xyxy: every RoI that any head drew, once, and padding (empty boxes).
        places: (K, B, S), where each head's RoIs stand among them.
        boxes: (K, B, S, 4) xyxy, the same.
        objects: (K, B, S, 4) xyxy, what positives are to be regressed to.
        labels: (K, B, S), C for background.
        draws: Which of them count, and as what.
    """

    rois: Tensor
    places: Tensor
    boxes: Tensor
    objects: Tensor
    labels: Tensor
    draws: Draws


def sample(
    assigner: Any,
    samplers: Sequence[Any],
    proposals: Proposals,
    truth: Truth,
    num_classes: int,
    *,
    share_keys: bool,
) -> Samples:
    """Assign proposals once, and let every head draw its own at random.

    Args:
        assigner: mmdet's MaxIoUAssigner.
        samplers: mmdet's RandomSampler, one per head, that differ in their `pos_fraction` alone.
        proposals, truth: Of the batch.
        num_classes: C.
        share_keys: Whether heads' draws are nested.
    """
    boxes = proposals.boxes
    assigned = assign(assigner, truth, boxes, proposals.valid)
    if samplers[0].add_gt_as_proposals:
        own = torch.arange(1, 1 + truth.valid.size(1), device=boxes.device)
        assigned = torch.cat([own.expand_as(truth.valid).masked_fill(~truth.valid, -1), assigned], dim=1)
        boxes = torch.cat([truth.boxes, boxes], dim=1)
    keys = torch.rand(1 if share_keys else len(samplers), *assigned.shape, device=boxes.device)
    drawn = draw(assigned, keys, samplers[0].num, [int(each.num * each.pos_fraction) for each in samplers])
    matched = _take(assigned, drawn.index).sub_(1).clamp_(min=0)
    labels = _take(truth.labels, matched).masked_fill_(~drawn.is_positive, num_classes)
    own_boxes = _take(boxes, drawn.index)
    if len(samplers) == 1:
        rois = as_rois(own_boxes[0] * drawn.valid[0, ..., None])
        places = torch.arange(len(rois), device=boxes.device).view_as(labels)
    else:
        rois, places = _union(boxes, drawn)
    return Samples(rois, places, own_boxes, _take(truth.boxes, matched), labels, drawn)


def losses(
    heads: Sequence[nn.Module], features: Tensor, samples: Samples, pos_weight: float
) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Return `loss_cls`, `acc` (percent) and `loss_bbox` of every head, and which RoIs it classifies rightly (K, B, S).

    Args:
        heads: The K heads, of one kind.
        features: RoI features (U, C, H, W) of the samples.
        samples: What the heads drew.
        pos_weight: mmdet's weight of positives in the classification loss; 0 or less for 1.
    """
    places = samples.places.flatten(1)
    outputs = [head(features.index_select(0, own)) for head, own in zip(heads, places, strict=True)]
    logits = torch.cat([cls_score for cls_score, _ in outputs])
    labels, drawn = samples.labels, samples.draws
    counts = (drawn.positives + drawn.negatives).sum(dim=1).clamp(min=1)  # (K,)
    head = heads[0]
    weights = drawn.weights(pos_weight).flatten()
    cls = head.loss_cls(logits, labels.flatten(), weights, reduction_override="none").view(len(heads), -1)
    hits = (logits.argmax(dim=-1).view_as(labels) == labels) & drawn.valid
    box = _regression(head, torch.cat([bbox_pred for _, bbox_pred in outputs]), samples).view(len(heads), -1)
    columns = {
        "loss_cls": cls.sum(dim=1) / counts,
        "acc": hits.sum(dim=(1, 2)) * 100 / counts,
        "loss_bbox": box.sum(dim=1) / counts,
    }
    return by_head(columns), hits


def by_head(columns: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return values (K,) by name as a dict for each head."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _regression(head: nn.Module, bbox_preds: Tensor, samples: Samples) -> Tensor:
    """Return the regression losses (K·B·S, 4) of all heads, of their positives."""
    deltas = bbox_preds.view(len(bbox_preds), -1, 4)
    labels = samples.labels.flatten()
    label = torch.zeros_like(labels) if head.reg_class_agnostic else labels.clamp(max=head.num_classes - 1)
    own = deltas.gather(1, label[:, None, None].expand(-1, 1, 4)).squeeze(1)
    is_positive = samples.draws.is_positive.flatten()
    return box_loss(head, own, samples.boxes.view(-1, 4), samples.objects.view(-1, 4), is_positive)


def _union(boxes: Tensor, drawn: Draws) -> tuple[Tensor, Tensor]:
    """Return every drawn box once, as RoIs (B·U, 5) with padding, and the place of each draw among them (K, B, S)."""
    images, number = boxes.shape[:2]
    size = min(drawn.index.size(0) * drawn.index.size(2), number)
    # One place more, for what does not count.
    index = drawn.index.masked_fill(~drawn.valid, number).transpose(0, 1).flatten(1)
    member = boxes.new_zeros(images, number + 1).scatter_(1, index, 1)[:, :number]
    rank = member.cumsum(dim=1, dtype=torch.long).sub_(1)
    target = rank.masked_fill(member == 0, size)[..., None].expand(-1, -1, 4)
    chosen = boxes.new_zeros(images, size + 1, 4).scatter_(1, target, boxes)[:, :size]
    first = torch.arange(0, images * size, size, device=boxes.device)[:, None]
    return as_rois(chosen), _take(rank.clamp_(min=0) + first, drawn.index)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Return of values (B, N) or (B, N, 4) those at index (K, B, S)."""
    values = values.expand(len(index), *values.shape)
    return values.gather(2, index) if values.ndim == 3 else take(values, index)
