"""What R-CNN heads send into the backbone, against plain autograd and arithmetic."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rgacli.config.recipe import set_method
from rgacli.errors import UsageError
from rgacli.method import parse_ratios
from rgacli.modeling.gradients import backbone_weight, gradients, measure_heads, measures, rcnn_losses
from tests.support import families, tiny

# --- which losses are a head's


def named(*keys):
    return {key: torch.tensor(2.0**i) for i, key in enumerate(keys)}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["loss", "loss_rpn_cls", "1to1.loss_cls", "1to1.loss_bbox", "1to1.acc", "1to9_2.loss_cls"],
         {"1to1": 4 + 8, "1to9_2": 32}),
        (["loss", "s0.1to9.loss_cls", "s0.loss_mask", "s1.1to9.loss_bbox", "s1.loss_mask"],
         {"1to9": 2 + 8, "mask": 4 + 16}),
        (["s0.loss_cls", "s0.acc", "s1.loss_bbox", "loss_semantic_seg", "s0.loss_glbctx"], {"detector": 1 + 4}),
        (["loss_mask", "loss_point", "loss_mask_iou", "loss_cls", "rpn_loss_x"], {"detector": 8, "mask": 1 + 2 + 4}),
        (["loss", "loss_cls", "loss_grid"], {"detector": 2 + 4}),
    ],
)  # fmt: skip
def test_a_heads_loss_sums_its_terms_and_stages(keys, expected):
    found = rcnn_losses(named(*keys))
    assert {head: value.item() for head, value in found.items()} == expected
    assert list(found) == sorted(found)  # of these, the mask head comes last


# --- which weight


class Stages(nn.Module):
    """A backbone of Swin's kind: a list of stages of linear layers, with norms for each after them."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 1)
        self.stages = nn.ModuleList(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(2))
        self.norm = nn.LayerNorm(4)


def resnet(**settings):
    cfg = tiny.tiny_config()
    cfg.model.backbone.update(settings)
    return tiny.build(cfg.model).backbone


def three_stages():
    return tiny.build(families.family("faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco").model).backbone


def test_the_weight_is_the_papers():
    backbone = resnet()
    name, weight = backbone_weight(backbone)
    assert name == "layer4.0.conv1"
    assert weight is backbone.layer4[0].conv1.weight


def test_without_the_papers_it_is_the_first_of_the_last_stage():
    assert backbone_weight(three_stages())[0] == "layer3.0.conv1"
    assert backbone_weight(Stages())[0] == "stages.1.1"


@pytest.mark.parametrize("name", ["layer1.0.conv2", "layer1.0.conv2.weight", "layer2.0.bn1.bias"])
def test_it_may_be_any_modules_or_parameter(name):
    backbone = resnet()
    found, weight = backbone_weight(backbone, name)
    assert found == name
    assert weight is dict(backbone.named_parameters()).get(name, weight)


@pytest.mark.parametrize(
    ("backbone", "name", "complaint"),
    [
        ({}, "layer4.0.conv9", r"probe_weight=layer4.0.conv9: ResNet has no such weight; it has layer4\.\d\.conv"),
        ({}, "nothing", "it has layer4.1.conv2, layer4.1.conv1, layer4.0.downsample.0 and"),
        (dict(frozen_stages=2), "layer2.0.conv1", "probe_weight=layer2.0.conv1: this weight of the backbone is frozen"),
        (dict(frozen_stages=4), None, "probe_weight=layer4.0.conv1: this weight of the backbone is frozen"),
        (dict(with_cp=True), None, "activation checkpointing .* settings=model.backbone.with_cp=False"),
    ],
)
def test_what_cannot_be_measured_is_refused(backbone, name, complaint):
    with pytest.raises(UsageError, match=complaint):
        backbone_weight(resnet(**backbone), name)


def test_a_backbone_that_is_frozen_wholly_is_refused():
    with pytest.raises(UsageError, match="Stages, the backbone, has no weight that is trained"):
        backbone_weight(Stages().requires_grad_(False))


# --- the gradients, against autograd of each head by hand


def by_hand(cfg, data, weight_name, keys):
    """Gradient that a loss of these keys alone leaves at a weight after a backward pass, flat."""
    model = tiny.build(cfg.model)
    losses = tiny.losses(model, data)
    sum(losses[key] for key in keys(losses)).backward()
    return dict(model.backbone.named_parameters())[weight_name].grad.flatten()


MASKED = "mask_rcnn/mask-rcnn_r50_fpn_1x_coco"
CASCADE = "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco"


@pytest.mark.parametrize("name", [None, MASKED, pytest.param(CASCADE, marks=pytest.mark.slow)])
def test_each_heads_gradient_is_that_of_its_losses_alone_and_their_sum_that_of_all(name):
    cfg = families.family(name) if name else tiny.tiny_config()
    cfg.model.backbone.zero_init_residual = False  # else no gradient reaches a residual branch in the first step
    set_method(cfg, ratios=parse_ratios("1:1,1:9"))
    data = tiny.batch(masks=True)
    model = tiny.build(cfg.model)
    _, logged = model.parse_losses(tiny.losses(model, data))
    parts = rcnn_losses(logged)
    assert list(parts) == ["1to1", "1to9"] + ["mask"] * bool(name)
    found = gradients(parts, backbone_weight(model.backbone)[1])
    weight = "layer4.0.conv1.weight"
    for part, gradient in zip(parts, found, strict=True):
        own = by_hand(cfg, data, weight, lambda losses, part=part: [k for k in losses if part in k and "loss" in k])
        torch.testing.assert_close(gradient, own, rtol=1e-4, atol=1e-7)
        assert own.norm() > 0
    together = by_hand(cfg, data, weight, lambda losses: [k for k in losses if "loss" in k and "rpn" not in k])
    torch.testing.assert_close(found.sum(dim=0), together, rtol=1e-4, atol=1e-6)


def test_a_weight_that_a_loss_does_not_depend_on_gets_nothing():
    weight, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    found = gradients({"a": (3 * weight).sum(), "b": other.sum()}, weight)
    assert found.tolist() == [[3, 3], [0, 0]]
    assert weight.grad is None


def test_a_loss_scalers_factor_is_taken_out_again():
    weight = nn.Parameter(torch.ones(2))
    assert gradients({"a": (3 * weight).sum()}, weight, scale=1024.0).tolist() == [[3, 3]]


# --- the arithmetic

numbers = st.floats(-1e3, 1e3).filter(lambda number: number == 0 or abs(number) > 1e-3)
vectors = st.integers(2, 4).flatmap(
    lambda count: st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=count, max_size=count)
)


@given(vectors)
def test_the_norm_of_the_sum_is_at_most_the_sum_of_the_norms(rows):
    told = measures(torch.tensor(rows).double(), [f"h{i}" for i in range(len(rows))])
    assert told["sum"] <= told["sum_of_norms"] * (1 + 1e-9)
    assert told["sum_of_norms"] == pytest.approx(sum(told[f"h{i}"] for i in range(len(rows))))
    assert 0 <= told.get("angle", 0) <= 180


@given(vectors)
def test_of_two_the_angle_is_the_one_between_their_norms_and_their_sum(rows):
    told = measures(torch.tensor(rows[:2]).double(), ["a", "b"])
    if "angle" in told:
        square = told["a"] ** 2 + told["b"] ** 2 + 2 * told["a"] * told["b"] * math.cos(math.radians(told["angle"]))
        assert told["sum"] ** 2 == pytest.approx(square, rel=1e-6, abs=1e-6 * told["sum_of_norms"] ** 2)


@pytest.mark.parametrize(
    ("rows", "angle"),
    [
        ([[1, 0], [0, 2]], 90),
        ([[1, 1], [2, 2]], 0),
        ([[1, 0], [-3, 0]], 180),
        ([[1, 0], [1, 1e-5]], math.degrees(1e-5)),  # which single precision would lose
        ([[1, 0], [0, 1], [-1, 0]], (90 + 180 + 90) / 3),
        ([[1, 0], [0, 0], [0, 5]], 90),
        ([[1, 0], [0, 0]], None),
        ([[1, 0]], None),
    ],
)
def test_angles(rows, angle):
    told = measures(torch.tensor(rows, dtype=torch.float64), list("abc")[: len(rows)])
    assert told.get("angle") == (angle if angle is None else pytest.approx(angle, abs=1e-9))


def test_the_box_branch_is_the_sum_of_the_heads():
    told = measure_heads(torch.tensor([[3.0, 0], [0, 4], [0, 10]]), ["1to1", "1to9", "mask"])
    assert told == pytest.approx(
        {
            "heads.1to1": 3,
            "heads.1to9": 4,
            "heads.sum": 5,
            "heads.sum_of_norms": 7,
            "heads.angle": 90,
            "branches.box": 5,
            "branches.mask": 10,
            "branches.sum": math.hypot(3, 14),
            "branches.sum_of_norms": 15,
            "branches.angle": math.degrees(math.acos(0.8)),
        }
    )
    assert not any("mask" in key for key in measure_heads(torch.ones(2, 3), ["1to1", "1to9"]))
