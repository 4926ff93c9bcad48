import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from rgacli.errors import UsageError
from rgacli.modeling.ensembling import ENSEMBLE, combination
from rgacli.modeling.folding import fold_bbox_heads, folded_width
from tests.support import tiny

HEAD = dict(
    type="ConvFCBBoxHead",
    in_channels=4,
    roi_feat_size=3,
    num_classes=5,
    fc_out_channels=6,
    loss_cls=dict(type="CrossEntropyLoss"),
    loss_bbox=dict(type="L1Loss"),
)
LAYERS = {
    "two shared": dict(num_shared_fcs=2),
    "one shared": dict(num_shared_fcs=1),
    "three shared": dict(num_shared_fcs=3),
    "shared and own": dict(num_shared_fcs=1, num_cls_fcs=2, num_reg_fcs=1),
    "own alone": dict(num_cls_fcs=1, num_reg_fcs=2),
    "one branch alone": dict(num_cls_fcs=1),
}


def build(number, **settings):
    """`number` heads whose outputs differ."""
    init_default_scope("mmdet")
    return [tiny.scramble(MODELS.build({**copy.deepcopy(HEAD), **settings}), seed) for seed in range(number)]


def folded(heads, box_head, **settings):
    head = MODELS.build({**copy.deepcopy(HEAD), **settings, "fc_out_channels": folded_width(heads)})
    head.load_state_dict(fold_bbox_heads(heads, box_head))
    return head


def assert_ensembles(head, heads, box_head):
    features = torch.randn(7, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    outputs = [single(features) for single in heads]
    ensemble = combination(ENSEMBLE, [0.5] * len(heads), box_head)
    logits, boxes = ensemble.merge(torch.stack([output[0] for output in outputs])), outputs[box_head][1]
    found_logits, found_boxes = head(features)
    torch.testing.assert_close(found_logits, logits, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found_boxes, boxes, rtol=1e-5, atol=1e-6)
    assert logits.std() > 0.01
    assert boxes.std() > 0.01


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize(("number", "box_head"), [(1, 0), (2, 0), (3, 2)])
def test_a_folded_head_does_what_the_ensemble_does(layers, class_agnostic, number, box_head):
    settings = dict(layers, reg_class_agnostic=class_agnostic)
    heads = build(number, **settings)
    assert_ensembles(folded(heads, box_head, **settings), heads, box_head)


def test_the_papers_heads_fold_to_twice_their_width():
    heads = build(2, type="Shared2FCBBoxHead", fc_out_channels=1024)
    state = fold_bbox_heads(heads, 0)
    assert state["shared_fcs.0.weight"].shape == (2048, 4 * 9)
    assert state["shared_fcs.1.weight"].shape == (2048, 2048)
    assert torch.equal(state["shared_fcs.1.weight"][:1024, 1024:], torch.zeros(1024, 1024))
    assert torch.equal(state["fc_reg.weight"][:, 1024:], torch.zeros(20, 1024))


def test_heads_without_hidden_layers_fold_into_one_of_their_size():
    config = dict(type="BBoxHead", with_avg_pool=True, in_channels=4, roi_feat_size=3, num_classes=5)
    heads = [tiny.scramble(MODELS.build(config), seed) for seed in range(2)]
    assert folded_width(heads) is None
    head = MODELS.build(config)
    head.load_state_dict(fold_bbox_heads(heads, 1))
    assert_ensembles(head, heads, 1)


def test_heads_whose_loss_keeps_numbers_fold():
    settings = dict(num_shared_fcs=2, loss_cls=dict(type="SeesawLoss", num_classes=5))
    heads = build(2, **settings)
    assert_ensembles(folded(heads, 0, **settings), heads, 0)


def test_heads_of_different_widths_fold():
    heads = build(1, num_shared_fcs=2) + build(1, num_shared_fcs=2, fc_out_channels=9)
    assert folded_width(heads) == 15
    assert_ensembles(folded(heads, 1, num_shared_fcs=2), heads, 1)


@pytest.mark.parametrize(
    ("settings", "layer"),
    [
        (dict(type="Shared4Conv1FCBBoxHead", conv_out_channels=4), "Conv2d"),
        (dict(num_shared_fcs=1, cls_predictor_cfg=dict(type="NormedLinear", tempearture=20)), "NormedLinear"),
    ],
)
def test_what_does_not_fold_is_refused_in_one_line(settings, layer):
    with pytest.raises(UsageError, match=f"is a {layer}, and only heads of plain fully connected layers do"):
        fold_bbox_heads(build(2, **settings), 0)


def test_heads_of_different_depths_are_refused():
    with pytest.raises(UsageError, match=r"different numbers of hidden layers \(shared_fcs\) do not fold"):
        fold_bbox_heads(build(1, num_shared_fcs=2) + build(1, num_shared_fcs=1), 0)
