"""Samplers at each head's own ratio.

Soft sampling (the paper's default) is mmdet's own: at most `int(num * fraction)` positives, the rest negatives,
so each head keeps its config's own sampler with another `pos_fraction`. Hard sampling is the control of the
paper's Appendix A. Nested draws are soft sampling in which the heads of an image share one random order.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmdet.models.task_modules import AssignResult, RandomSampler, SamplingResult
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

from rgacli.method import PRM


@TASK_UTILS.register_module()
class HardRandomSampler(RandomSampler):
    """Sampler that repeats positives until the ratio is met (paper, Appendix A and Table 8).

    With P positives available and `num * pos_fraction` wanted, each positive is drawn
    `wanted // P` times and `wanted % P` of them once more; negatives are drawn without repetition and never more
    than the ratio leaves. With no positive at all the sample is all negatives, as in soft sampling.
    """

    def sample(
        self, assign_result: AssignResult, pred_instances: InstanceData, gt_instances: InstanceData, **kwargs: object
    ) -> SamplingResult:
        """Sample as mmdet's `BaseSampler.sample` does, but let repeated positives stay repeated."""
        result = super().sample(assign_result, pred_instances, gt_instances, **kwargs)
        available = len(result.pos_inds)
        wanted = int(self.num * self.pos_fraction)
        if not available or available >= wanted:
            return result
        pick = repeat_to(available, wanted, device=result.pos_inds.device)
        for field in ("pos_inds", "pos_priors", "pos_is_gt", "pos_assigned_gt_inds", "pos_gt_labels", "pos_gt_bboxes"):
            setattr(result, field, getattr(result, field)[pick])
        # The soft sample was filled up with negatives; keep as many as the ratio leaves, at random.
        left = torch.randperm(len(result.neg_inds))[: self.num - wanted].to(result.neg_inds.device)
        result.neg_inds, result.neg_priors = result.neg_inds[left], result.neg_priors[left]
        result.num_pos, result.num_neg = wanted, max(len(left), 1)
        result.avg_factor = result.num_pos + result.num_neg
        return result


def repeat_to(available: int, wanted: int, device: torch.device | str = "cpu") -> Tensor:
    """Return indices (wanted,) into `available` items, each as often as any other or once more, at random."""
    rounds = -(-wanted // available)
    return torch.cat([torch.randperm(available) for _ in range(rounds)])[:wanted].to(device)


@TASK_UTILS.register_module()
class NestedRandomSampler(RandomSampler):
    """Sampler that takes the first of an image's positives and negatives in a random order that heads share.

    By itself it samples as RandomSampler does: in a random order any prefix is a uniform draw. Of several heads, one of
    fewer positives takes a part of the positives of one of more, and the same holds for negatives, so that the union
    of what they sample is as small as it can be: where an image has fewer positives than any of them asks for, all
    sample the same.

    `sample` takes `ranks` (≥ G + P,), each box's place in that order, ground truth before proposals where it is added.
    """

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, *, ranks: Tensor, **kwargs: Any) -> Tensor:
        return first_by_rank(assign_result.gt_inds > 0, ranks, num_expected)

    def _sample_neg(self, assign_result: AssignResult, num_expected: int, *, ranks: Tensor, **kwargs: Any) -> Tensor:
        return first_by_rank(assign_result.gt_inds == 0, ranks, num_expected)


def first_by_rank(wanted: Tensor, ranks: Tensor, number: int) -> Tensor:
    """Return the indices (≤ number,) of the wanted items of lowest rank.

    Args:
        wanted: (N,) bool.
        ranks: (≥ N,), all different.
        number: How many, if there are so many.
    """
    candidates = wanted.nonzero().squeeze(1)
    return candidates[ranks[candidates].argsort()[:number]]


def sampler_configs(sampler: dict, prm: PRM) -> list[dict]:
    """Return the config's own sampler, once per head, at the head's positive fraction.

    Args:
        sampler: mmdet's `train_cfg.rcnn.sampler`.
        prm: How the heads sample.

    Raises:
        UsageError: hard sampling or nested draws are asked of a sampler other than RandomSampler.
    """
    prm.require_sampler(sampler["type"])
    heads = [dict(copy.deepcopy(sampler), pos_fraction=ratio.positive_fraction) for ratio in prm.ratios]
    if prm.sampling == "hard":
        return [dict(head, type="HardRandomSampler") for head in heads]
    if prm.draws == "nested":
        return [dict(head, type="NestedRandomSampler") for head in heads]
    return heads
