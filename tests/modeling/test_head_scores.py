import copy

import pytest
import torch
from mmengine.structures import InstanceData

from rgacli.modeling.head_scores import head_scores, scores_of_images
from tests.support import tiny
from tests.support.roi_heads import CASCADE, FASTER, SEESAW, data, make, mmdet_config, short

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # mmdet's own: names and types of yesterday

PER_CLASS = dict(reg_class_agnostic=False)


def scored(head, counts=(3, 1)):
    """The heads' scores (K, P, C+1) of each image's proposals, and what they were made of."""
    samples, x = data(counts)
    metas, proposals = [sample.metainfo for sample in samples], tiny.proposals(samples)
    return head_scores(head.eval(), x, proposals, metas), (x, metas, proposals)


def stock_of(name, head, k, bbox_head=None):
    """mmdet's own RoI head, with the weights of the k-th."""
    stock = tiny.build_roi_head(mmdet_config(name, bbox_head)).eval()
    weights = {key: value for key, value in head.state_dict().items() if not key.startswith("bbox_head.")}
    cascade = name == CASCADE
    for stage, heads in enumerate(head.bbox_head if cascade else [head.bbox_head]):
        place = f"bbox_head.{stage}." if cascade else "bbox_head."
        weights |= {place + key: value for key, value in heads[k].state_dict().items()}
    stock.load_state_dict(weights)
    return stock


@torch.no_grad()
@pytest.mark.parametrize("name", [FASTER, SEESAW], ids=short)
def test_each_heads_scores_are_those_of_mmdets_own_roi_head_with_its_weights(name):
    head = make(name, ["1:9", "1:1"])
    found, (x, metas, proposals) = scored(head)
    for k in range(2):
        expected = stock_of(name, head, k).predict_bbox(x, metas, proposals, rcnn_test_cfg=None)
        for own, instances in zip(found, expected, strict=True):
            torch.testing.assert_close(own[k], instances.scores)
    assert not torch.allclose(found[0][0], found[0][1], atol=0.01)


@torch.no_grad()
def test_a_whole_detectors_scores_are_those_of_its_rpns_proposals():
    model = tiny.build(tiny.tiny_config(ratios=["1:1", "1:9"]).model).eval()
    tiny.scramble(model.roi_head)
    found = list(scores_of_images(model, [tiny.batch((2, 1))]))
    assert [image for image, _ in found] == [0, 1]
    for k in range(2):
        stock = tiny.build(tiny.stock_config().model).eval()
        for part in ("backbone", "neck", "rpn_head"):
            getattr(stock, part).load_state_dict(getattr(model, part).state_dict())
        stock.roi_head.bbox_head.load_state_dict(model.roi_head.bbox_head[k].state_dict())
        seen = []
        stock.roi_head.bbox_head.register_forward_hook(lambda head, inputs, output, seen=seen: seen.append(output[0]))
        stock.test_step(tiny.batch((2, 1)))
        torch.testing.assert_close(torch.cat([scores[k] for _, scores in found]), seen[0].softmax(dim=1))


@torch.no_grad()
@pytest.mark.parametrize("bbox_head", [{}, PER_CLASS], ids=["boxes", "boxes-per-class"])
def test_heads_of_a_cascade_score_the_boxes_of_its_ensemble(bbox_head):
    head = make(CASCADE, ["1:1", "1:9"], bbox_head)
    found, (x, metas, proposals) = scored(head)
    expected = head.predict_variants(x, metas, proposals, None, False, ["ensemble"])["ensemble"]
    for own, instances in zip(found, expected, strict=True):
        average = own.log().mean(dim=0).softmax(dim=1)  # the ensemble averages logits: their offsets do not matter
        torch.testing.assert_close(average, instances.scores)


@torch.no_grad()
def test_equal_heads_of_a_cascade_score_as_mmdets_own_cascade():
    head = make(CASCADE, ["1:1", "1:9"])
    for first, second in head.bbox_head:
        second.load_state_dict(copy.deepcopy(first.state_dict()))
    found, (x, metas, proposals) = scored(head)
    expected = stock_of(CASCADE, head, 0).predict_bbox(x, metas, proposals, rcnn_test_cfg=None)
    for own, instances in zip(found, expected, strict=True):
        torch.testing.assert_close(own, instances.scores.expand_as(own))


def test_without_proposals_there_are_no_scores():
    samples, x = data()
    nothing = [InstanceData(bboxes=torch.zeros(0, 4)) for _ in samples]
    found = head_scores(make(FASTER).eval(), x, nothing, [sample.metainfo for sample in samples])
    assert [scores.shape for scores in found] == [(2, 0, tiny.CLASSES + 1)] * 2
