"""One assignment per image -> a draw of RoIs per head -> the union of the draws (paper, Sec. 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.models.task_modules import SamplingResult
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from torch import Tensor, nn

Draws = list[list[SamplingResult]]
"""`draws[k][i]`: the RoIs of head k in image i. All heads index the same priors of an image."""


class HeadContext:
    """One of several parallel heads, as a sampler that mines by loss (OHEM) looks at a RoI head's only one."""

    def __init__(self, bbox_head: nn.Module, roi_features: Callable[[Sequence[Tensor], Tensor], Tensor]) -> None:
        self.bbox_head = bbox_head
        self._roi_features = roi_features

    def _bbox_forward(self, x: Sequence[Tensor], rois: Tensor) -> dict[str, Any]:
        features = self._roi_features(x, rois)
        cls_score, bbox_pred = self.bbox_head(features)
        return dict(cls_score=cls_score, bbox_pred=bbox_pred, bbox_feats=features)


def draw(
    assigner: Any,
    samplers: Sequence[Any],
    x: Sequence[Tensor],
    proposals: InstanceList,
    gts: InstanceList,
    gts_ignored: InstanceList,
) -> Draws:
    """Assigns each image's proposals once and lets every head's sampler draw from them.

    Args:
        assigner: mmdet's.
        samplers: mmdet's, one per head.
        x: Feature maps, each (B, C, H, W), for samplers that mine by loss.
        proposals: Per image `bboxes` (P, 4) xyxy, which are renamed to `priors`.
        gts: Per image `bboxes` (G, 4) and `labels` (G,).
        gts_ignored: Per image `bboxes` (I, 4).
    """
    draws: Draws = [[] for _ in samplers]
    for i, found in enumerate(proposals):
        found.priors = found.pop("bboxes")
        assigned = assigner.assign(found, gts[i], gts_ignored[i])
        features = [level[i][None] for level in x]
        for head_draws, sampler in zip(draws, samplers, strict=True):
            # Samplers add the ground truth to the assignment they are given: each gets its own copy.
            head_draws.append(sampler.sample(copy.copy(assigned), found, gts[i], feats=features))
    return draws


def union_of_draws(draws: Draws) -> tuple[Tensor, list[Tensor]]:
    """Every RoI that any head drew, once, and where each head's RoIs stand in it.

    RoIs stand in the order of their first appearance, so that a single head's union is its own draw, in its order.

    Returns:
        rois: (U, 5), image index and xyxy.
        indices: Per head (N_k,), such that `rois[indices[k]]` are its RoIs: by image, positives first.
    """
    rois = [bbox2roi([drawn.priors for drawn in head_draws]) for head_draws in draws]
    sizes = [len(head_rois) for head_rois in rois]
    chosen = [torch.cat([drawn.pos_inds, drawn.neg_inds]) for head_draws in draws for drawn in head_draws]
    all_rois, prior = torch.cat(rois), torch.cat(chosen)
    # A RoI is known by its image and the index of its prior there.
    image = all_rois[:, 0].long()
    key = prior * len(draws[0]) + image
    distinct, which = key.unique(return_inverse=True)
    position = torch.arange(len(key), device=key.device)
    first = torch.full_like(distinct, len(key)).scatter_reduce(0, which, position, "amin")
    order = first.argsort()
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    return all_rois[first[order]], list(rank[which].split(sizes))


def ground_truth_flags(draws: Draws, indices: Sequence[Tensor], size: int) -> Tensor:
    """Which RoIs of a union are ground-truth boxes that the samplers added: (U,) uint8, 1 for those.

    Args:
        draws: What the union was made of.
        indices: As `union_of_draws` returns them.
        size: U.
    """
    flags = indices[0].new_zeros(size, dtype=torch.uint8)
    for head_draws, index in zip(draws, indices, strict=True):
        own = [torch.cat([drawn.pos_is_gt, drawn.pos_is_gt.new_zeros(len(drawn.neg_inds))]) for drawn in head_draws]
        flags[index] = torch.cat(own)
    return flags
