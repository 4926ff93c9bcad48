"""One assignment per image -> the RoIs that each head samples -> their union (paper, Sec. 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.models.task_modules import SamplingResult
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from torch import Tensor, nn

from rgacli.modeling.sampling import NestedRandomSampler

SamplingResults = list[list[SamplingResult]]
"""`sampling_results[k][i]`: the RoIs of head k in image i. All heads index the same priors of an image."""


class SamplerContext:
    """One of several parallel heads, as a sampler that mines by loss (OHEM) looks at a RoI head's only one."""

    def __init__(self, bbox_head: nn.Module, roi_features: Callable[[Sequence[Tensor], Tensor], Tensor]) -> None:
        self.bbox_head = bbox_head
        self._roi_features = roi_features

    def _bbox_forward(self, x: Sequence[Tensor], rois: Tensor) -> dict[str, Any]:
        features = self._roi_features(x, rois)
        cls_score, bbox_pred = self.bbox_head(features)
        return dict(cls_score=cls_score, bbox_pred=bbox_pred, bbox_feats=features)


def label_and_sample(
    assigner: Any,
    samplers: Sequence[Any],
    x: Sequence[Tensor],
    proposals: InstanceList,
    gts: InstanceList,
    gts_ignored: InstanceList,
) -> SamplingResults:
    """Assign each image's proposals once and let every head's sampler draw from them.

    Args:
        assigner: mmdet's.
        samplers: mmdet's, one per head, all of one kind.
        x: Feature maps, each (B, C, H, W), for samplers that mine by loss.
        proposals: Per image `bboxes` (P, 4) xyxy, which are renamed to `priors`.
        gts: Per image `bboxes` (G, 4) and `labels` (G,).
        gts_ignored: Per image `bboxes` (I, 4).
    """
    sampling_results: SamplingResults = [[] for _ in samplers]
    for i, found in enumerate(proposals):
        found.priors = found.pop("bboxes")
        assigned = assigner.assign(found, gts[i], gts_ignored[i])
        shared = dict(feats=[level[i][None] for level in x])
        if isinstance(samplers[0], NestedRandomSampler):
            shared["ranks"] = torch.randperm(len(found.priors) + len(gts[i].bboxes)).to(found.priors.device)
        for own, sampler in zip(sampling_results, samplers, strict=True):
            # Samplers add the ground truth to the assignment they are given: each gets its own copy.
            own.append(sampler.sample(copy.copy(assigned), found, gts[i], **shared))
    return sampling_results


def union_of_rois(sampling_results: SamplingResults) -> tuple[Tensor, list[Tensor]]:
    """Return every RoI that any head sampled, once, and where each head's RoIs stand among them.

    RoIs stand in the order of their first appearance, so that a single head's union is its own sample, in its order.

    Returns:
        rois: (U, 5), image index and xyxy.
        indices: Per head (N_k,), such that `rois[indices[k]]` are its RoIs: by image, positives first.
    """
    rois = [bbox2roi([result.priors for result in own]) for own in sampling_results]
    sizes = [len(own) for own in rois]
    chosen = [torch.cat([result.pos_inds, result.neg_inds]) for own in sampling_results for result in own]
    all_rois, prior = torch.cat(rois), torch.cat(chosen)
    # A RoI is known by its image and the index of its prior there.
    image = all_rois[:, 0].long()
    key = prior * len(sampling_results[0]) + image
    distinct, which = key.unique(return_inverse=True)
    position = torch.arange(len(key), device=key.device)
    first = torch.full_like(distinct, len(key)).scatter_reduce(0, which, position, "amin")
    order = first.argsort()
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    return all_rois[first[order]], list(rank[which].split(sizes))


def gt_flags(sampling_results: SamplingResults, indices: Sequence[Tensor], size: int) -> Tensor:
    """Return which RoIs of a union are ground-truth boxes that the samplers added: (U,) uint8, 1 for those.

    Args:
        sampling_results: What the union was made of.
        indices: As `union_of_rois` returns them.
        size: U.
    """
    flags = indices[0].new_zeros(size, dtype=torch.uint8)
    for own, index in zip(sampling_results, indices, strict=True):
        flags[index] = torch.cat(
            [torch.cat([result.pos_is_gt, result.pos_is_gt.new_zeros(len(result.neg_inds))]) for result in own]
        )
    return flags
