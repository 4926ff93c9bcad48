"""One assignment -> one draw of RoIs per head.

Soft sampling (the paper's default) is mmdet's own: at most `int(num * fraction)` positives, the rest negatives,
so each head keeps its config's own sampler with another `pos_fraction`. Hard sampling is the control of the
paper's Appendix A.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmdet.models.task_modules import AssignResult, RandomSampler, SamplingResult
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

from rgacli.method import SAMPLING_MODES, SamplingRatio


@TASK_UTILS.register_module()
class HardRandomSampler(RandomSampler):
    """Repeats positives until the ratio is met (paper, Appendix A and Table 8).

    With P positives available and `num * pos_fraction` wanted, each positive is drawn
    `wanted // P` times and `wanted % P` of them once more; negatives are drawn without repetition and never more
    than the ratio leaves. With no positive at all the draw is all negatives, as in soft sampling.
    """

    def sample(
        self, assign_result: AssignResult, pred_instances: InstanceData, gt_instances: InstanceData, **kwargs: object
    ) -> SamplingResult:
        """Like mmdet's `BaseSampler.sample`, but repeated positives stay repeated."""
        result = super().sample(assign_result, pred_instances, gt_instances, **kwargs)
        available = len(result.pos_inds)
        wanted = int(self.num * self.pos_fraction)
        if not available or available >= wanted:
            return result
        pick = repeat_to(available, wanted, device=result.pos_inds.device)
        for field in ("pos_inds", "pos_priors", "pos_is_gt", "pos_assigned_gt_inds", "pos_gt_labels", "pos_gt_bboxes"):
            setattr(result, field, getattr(result, field)[pick])
        # The soft draw filled up with negatives; keep as many as the ratio leaves, at random.
        left = torch.randperm(len(result.neg_inds))[: self.num - wanted].to(result.neg_inds.device)
        result.neg_inds, result.neg_priors = result.neg_inds[left], result.neg_priors[left]
        result.num_pos, result.num_neg = wanted, max(len(left), 1)
        result.avg_factor = result.num_pos + result.num_neg
        return result


def repeat_to(available: int, wanted: int, device: torch.device | str = "cpu") -> Tensor:
    """Indices (wanted,) into `available` items: each as often as any other or once more, which ones at random."""
    rounds = -(-wanted // available)
    return torch.cat([torch.randperm(available) for _ in range(rounds)])[:wanted].to(device)


def sampler_configs(sampler: dict, ratios: Sequence[SamplingRatio], mode: str) -> list[dict]:
    """The config's own sampler, once per head, at the head's positive fraction.

    Args:
        sampler: mmdet's `train_cfg.rcnn.sampler`.
        ratios: One per head.
        mode: "soft" or "hard".

    Raises:
        ValueError: the mode is neither, or hard sampling is asked of a sampler other than RandomSampler.
    """
    if mode not in SAMPLING_MODES:
        raise ValueError(f"sampling is '{mode}'; it can be {' or '.join(SAMPLING_MODES)}")
    kind = sampler["type"].rpartition(".")[2]  # without a registry's scope
    if mode == "hard" and kind != "RandomSampler":
        raise ValueError(f"hard sampling is defined for RandomSampler only, not for {kind}")
    heads = [dict(copy.deepcopy(sampler), pos_fraction=ratio.positive_fraction) for ratio in ratios]
    return [dict(head, type="HardRandomSampler") for head in heads] if mode == "hard" else heads
