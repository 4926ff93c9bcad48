"""An RPN for a batch: its anchors and its proposals, against mmdet's image by image."""

import copy

import pytest
import torch
from mmdet.models.task_modules.prior_generators import anchor_inside_flags

from rgacli.modeling.batched import rpn
from rgacli.modeling.batched.anchors import allowed, anchors
from rgacli.modeling.batched.rpn import _limits, propose
from tests.support import tiny


@pytest.fixture(scope="module")
def detector():
    return tiny.scramble(tiny.build(tiny.tiny_config().model)).eval()


def prepared(detector, counts=(1, 2, 1)):
    inputs = detector.data_preprocessor(copy.deepcopy(tiny.batch(counts)), True)
    return detector.extract_feat(inputs["inputs"]), [sample.metainfo for sample in inputs["data_samples"]]


@pytest.mark.parametrize("border", [-1, 0, 8])
def test_anchors_are_allowed_where_mmdet_allows_them(detector, border):
    x, metas = prepared(detector)
    metas[1].update(img_shape=(40, 52), pad_shape=(48, 56))
    rpn_head = copy.deepcopy(detector.rpn_head)
    rpn_head.train_cfg["allowed_border"] = border
    sizes = [level.shape[-2:] for level in rpn_head(x)[0]]
    found = anchors(rpn_head, tuple(map(tuple, sizes)), x[0].device)
    got = allowed(found, rpn_head, metas, _limits(metas, found.boxes))
    by_level, flags = rpn_head.get_anchors(sizes, metas, device="cpu")
    for own, valid, meta, row in zip(by_level, flags, metas, got, strict=True):
        assert found.boxes.equal(torch.cat(own))
        expected = anchor_inside_flags(torch.cat(own), torch.cat(valid), meta["img_shape"], border)
        assert row.equal(expected)
    assert not got.all()


def test_anchors_are_made_once_for_a_shape_and_the_oldest_are_forgotten(detector):
    device = torch.device("cpu")
    sizes = [tuple((n, n) for n in (size, 4, 2, 1, 1)) for size in range(4, 24)]
    first = anchors(detector.rpn_head, sizes[0], device)
    assert anchors(detector.rpn_head, sizes[0], device) is first
    for each in sizes[1:]:
        anchors(detector.rpn_head, each, device)
    assert anchors(detector.rpn_head, sizes[0], device) is not first


@pytest.mark.parametrize(
    "settings",
    [dict(), dict(nms_pre=5, max_per_img=8), dict(nms_pre=-1), dict(min_bbox_size=12), dict(max_per_img=1000)],
)
def test_proposals_are_mmdets(detector, settings):
    x, metas = prepared(detector)
    cfg = copy.deepcopy(detector.rpn_head.test_cfg)
    cfg.update(settings)
    with torch.no_grad():
        found = propose(detector.rpn_head, x, metas, cfg)
        expected = detector.rpn_head.predict_by_feat(*detector.rpn_head(x), batch_img_metas=metas, cfg=cfg)
    assert len(found) == len(expected)
    for own, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(own.scores, reference.scores)
        torch.testing.assert_close(own.bboxes, reference.bboxes)
        assert own.labels.equal(reference.labels)
    assert not found.boxes[~found.valid].any()
    assert len(found[-1].bboxes) == len(found[1:][-1].bboxes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_logits_of_half_precision_rank_proposals_as_float_does(detector, dtype):
    """Of those above 6, which a trained RPN has many of, most have one and the same probability in half precision."""
    x, metas = prepared(detector)
    outputs = rpn._outputs(detector.rpn_head, x)
    logits = (outputs[0] * 2 + 8).to(dtype)
    assert logits.unique().numel() > 2 * logits.sigmoid().unique().numel()
    limits, cfg = _limits(metas, outputs[2].boxes), detector.rpn_head.test_cfg
    found, expected = (
        rpn._proposals(detector.rpn_head, each, *outputs[1:], limits, cfg, 32) for each in (logits, logits.float())
    )
    assert found.boxes.equal(expected.boxes)
    assert found.scores.equal(expected.scores)
