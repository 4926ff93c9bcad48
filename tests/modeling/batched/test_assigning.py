"""Assignment of a batch, against mmdet's MaxIoUAssigner image by image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import MaxIoUAssigner
from mmengine.structures import InstanceData

from rgacli.modeling.batched import assigning
from rgacli.modeling.batched.assigning import assign
from rgacli.modeling.batched.truth import Truth
from tests.modeling.batched.test_boxes import random_boxes

ASSIGNERS = {
    "rpn": dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True),
    "rcnn": dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False),
    "any best": dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.0, match_low_quality=True),
}


def truth_of(objects: list[torch.Tensor]) -> Truth:
    most = max(1, *map(len, objects))
    boxes, valid = torch.zeros(len(objects), most, 4), torch.zeros(len(objects), most, dtype=torch.bool)
    for row, own, flags in zip(boxes, objects, valid, strict=True):
        row[: len(own)], flags[: len(own)] = own, True
    return Truth(boxes, torch.zeros(len(objects), most, dtype=torch.long), valid)


def by_mmdet(assigner: MaxIoUAssigner, objects: torch.Tensor, boxes: torch.Tensor, allowed: torch.Tensor):
    gt = InstanceData(bboxes=objects, labels=torch.zeros(len(objects), dtype=torch.long))
    found = torch.full((len(boxes),), -1)
    found[allowed] = assigner.assign(InstanceData(priors=boxes[allowed]), gt).gt_inds
    return found


@pytest.mark.parametrize("kind", ASSIGNERS)
@given(seed=st.integers(0, 2**31), counts=st.lists(st.integers(0, 5), min_size=1, max_size=3), data=st.data())
def test_each_image_is_assigned_as_mmdet_does(kind, seed, counts, data):
    assigner = MaxIoUAssigner(**ASSIGNERS[kind])
    objects = [random_boxes(count, seed=seed + i) for i, count in enumerate(counts)]
    boxes = random_boxes(len(counts), 20, seed=seed + 9)
    for own, found in zip(objects, boxes, strict=True):  # some lie on objects, and some are the same twice
        found[: len(own)] = own + torch.randn(own.shape, generator=torch.Generator().manual_seed(seed))
        found[len(own) : 2 * len(own)] = found[: len(own)]
    allowed = torch.rand(len(counts), 20, generator=torch.Generator().manual_seed(seed)) < 0.9
    at_once = data.draw(st.sampled_from([1, 2**26]))  # objects one by one, or all
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assigning, "_MOST_OVERLAPS", at_once)
        found = assign(assigner, truth_of(objects), boxes, allowed)
    for own, image, flags, row in zip(objects, boxes, allowed, found, strict=True):
        assert row.tolist() == by_mmdet(assigner, own, image, flags).tolist()


def test_images_may_share_their_boxes():
    assigner = MaxIoUAssigner(**ASSIGNERS["rpn"])
    objects = [random_boxes(2, seed=1), random_boxes(3, seed=2)]
    boxes = random_boxes(1, 30, seed=3)
    allowed = torch.ones(2, 30, dtype=torch.bool)
    shared = assign(assigner, truth_of(objects), boxes, allowed)
    assert shared.equal(assign(assigner, truth_of(objects), boxes.expand(2, -1, -1), allowed))
