"""Proposals already assigned to objects, for tests of sampling."""

from __future__ import annotations

import copy

import torch
from hypothesis import strategies as st
from mmdet.models.task_modules import AssignResult, RandomSampler, SamplingResult
from mmengine.structures import InstanceData

SHAPES = st.fixed_dictionaries(
    {"positives": st.integers(0, 40), "negatives": st.integers(0, 80), "objects": st.integers(1, 5)}
)
SAMPLERS = st.fixed_dictionaries(
    {"num": st.integers(1, 64), "pos_fraction": st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.9])}
)

Scene = tuple[AssignResult, InstanceData, InstanceData]


def scene(positives: int, negatives: int, objects: int, seed: int = 0) -> Scene:
    """Assignment, proposals, objects. The positives come first; proposal i's box is (i, i, i+1, i+1)."""
    generator = torch.Generator().manual_seed(seed)
    total = positives + negatives
    owners = torch.randint(0, max(objects, 1), (positives,), generator=generator)
    gt = InstanceData(
        bboxes=torch.arange(objects).float()[:, None] + torch.tensor([1000.0, 1000, 1001, 1001]),
        labels=torch.arange(objects) % 3,
    )
    assigned = AssignResult(
        num_gts=objects,
        gt_inds=torch.cat([owners + 1, torch.zeros(negatives, dtype=torch.long)]),
        max_overlaps=torch.zeros(total),
        labels=torch.cat([gt.labels[owners], torch.full((negatives,), -1)]),
    )
    proposals = InstanceData(priors=torch.arange(total).float()[:, None] + torch.tensor([0.0, 0, 1, 1]))
    return assigned, proposals, gt


def sample_scene(sampler: RandomSampler, parts: Scene, seed: int = 0, **shared: object) -> SamplingResult:
    """Return what is sampled from a scene, which is left as it was; `shared` is what all heads' samplers are given."""
    torch.manual_seed(seed)
    assigned, proposals, gt = parts
    return sampler.sample(copy.copy(assigned), proposals, gt, **shared)
