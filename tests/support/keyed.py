"""mmdet's sampling, image by image, by given random keys: the slow reference of `modeling.batched`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from mmdet.models.task_modules import AssignResult, RandomSampler
from torch import Tensor, nn


class KeyedRandomSampler(RandomSampler):
    """RandomSampler that takes the boxes of the highest keys; `keys` are the next images', (N,) each."""

    keys: Iterator[Tensor]

    def sample(self, *args, **kwargs):
        self.own = next(self.keys)
        return super().sample(*args, **kwargs)

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs) -> Tensor:
        return self._highest(assign_result.gt_inds > 0, num_expected)

    def _sample_neg(self, assign_result: AssignResult, num_expected: int, **kwargs) -> Tensor:
        return self._highest(assign_result.gt_inds == 0, num_expected)

    def _highest(self, wanted: Tensor, number: int) -> Tensor:
        candidates = wanted.nonzero().squeeze(1)
        return candidates[self.own[candidates].argsort(descending=True)[:number]]


def keyed(sampler: RandomSampler, keys: Sequence[Tensor]) -> KeyedRandomSampler:
    """The same sampler, by keys."""
    made = KeyedRandomSampler(sampler.num, sampler.pos_fraction, sampler.neg_pos_ub, sampler.add_gt_as_proposals)
    made.keys = iter(keys)
    return made


def give_keys(model: nn.Module, seed: int, anchors: int, objects: Sequence[int], proposals: Sequence[int]) -> None:
    """Have mmdet's way sample by the keys that the batched one draws after `torch.manual_seed(seed)`.

    Args:
        model: A detector with one sampler in its RPN, and one or several in its RoI head.
        seed: Of the keys.
        anchors: Their number, all of them inside the images.
        objects, proposals: Their numbers in each image.
    """
    torch.manual_seed(seed)
    of_anchors = torch.rand(len(objects), anchors)
    roi_head = model.roi_head
    samplers = getattr(roi_head, "bbox_samplers", None) or [roi_head.bbox_sampler]
    limit = model.train_cfg.rpn_proposal.max_per_img
    if samplers[0].add_gt_as_proposals:
        most = max(1, *objects)
    else:
        most, objects = 0, [0] * len(objects)
    nested = len(samplers) > 1 and roi_head.prm.draws == "nested"
    of_boxes = torch.rand(1 if nested else len(samplers), len(objects), most + limit).expand(len(samplers), -1, -1)
    model.rpn_head.sampler = keyed(model.rpn_head.sampler, of_anchors)
    own = [
        keyed(
            sampler,
            [
                torch.cat([row[:number], row[most : most + found]])
                for row, number, found in zip(rows, objects, proposals, strict=True)
            ],
        )
        for sampler, rows in zip(samplers, of_boxes, strict=True)
    ]
    if hasattr(roi_head, "bbox_samplers"):
        roi_head.bbox_samplers = own
    else:
        (roi_head.bbox_sampler,) = own
