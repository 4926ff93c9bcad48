"""Detectors whose images go through at once, against the same detectors by mmdet's way."""

import copy
from contextlib import nullcontext

import pytest
import torch
from mmengine.config import Config

from rgacli.config.recipe import set_method
from rgacli.method import parse_ratios
from rgacli.modeling.batched import detections, rpn, support
from rgacli.modeling.waiting import as_on_a_gpu
from tests.support import tiny
from tests.support.families import family
from tests.support.keyed import give_keys
from tests.support.roi_heads import CASCADE, MASK, OHEM

COUNTS = (2, 0, 5)

SETTINGS = {
    "paper": {},
    "one head": {"model.roi_head.ratios": ["1:3"]},
    "three heads, mean": {"model.roi_head.ratios": ["1:1", "1:3", "1:9"], "model.roi_head.head_loss": "mean"},
    "nested": {"model.roi_head.draws": "nested"},
    "class-agnostic, smooth L1": {
        "model.roi_head.bbox_head.reg_class_agnostic": True,
        "model.roi_head.bbox_head.loss_bbox": dict(type="SmoothL1Loss", beta=0.5, loss_weight=2.0),
        "model.rpn_head.loss_bbox": dict(type="SmoothL1Loss", beta=1 / 9, loss_weight=1.0),
    },
    "weights": {
        "model.train_cfg.rpn.pos_weight": 2.0,
        "model.train_cfg.rcnn.pos_weight": 3.0,
        "model.roi_head.bbox_head.loss_cls": dict(type="CrossEntropyLoss", class_weight=[1.0, 2.0, 0.5, 0.1]),
    },
    "low quality, without ground truth among proposals": {
        "model.train_cfg.rcnn.assigner.match_low_quality": True,
        "model.train_cfg.rcnn.sampler.add_gt_as_proposals": False,
    },
    "many RoIs": {"model.train_cfg.rcnn.sampler.num": 512, "model.train_cfg.rpn.sampler.num": 2000},
}


def pair(cfg: Config) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The detector by mmdet's way, and batched, of the same weights."""
    slow, fast = copy.deepcopy(cfg.model), copy.deepcopy(cfg.model)
    fast.type = f"Batched{slow.type}"
    models = [tiny.scramble(tiny.build(model), 3) for model in (slow, fast)]
    models[1].load_state_dict(models[0].state_dict())
    return models[0], models[1]


def backward(losses: dict) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Scalar losses by name, after their sum's backward pass."""
    values = {name: sum(value) if isinstance(value, list) else value for name, value in losses.items()}
    sum(value.sum() for name, value in values.items() if "loss" in name).backward()
    return {name: value.detach().squeeze() for name, value in values.items()}


def assert_same_step(slow: torch.nn.Module, fast: torch.nn.Module, data: dict, way) -> dict[str, torch.Tensor]:
    inputs = slow.data_preprocessor(copy.deepcopy(data), True)
    with torch.no_grad():
        x = slow.extract_feat(inputs["inputs"])
        cfg = slow.train_cfg.rpn_proposal
        found = rpn.propose(slow.rpn_head, x, [each.metainfo for each in inputs["data_samples"]], cfg)
    anchors = sum(slow.rpn_head.num_base_priors * level.shape[-1] * level.shape[-2] for level in x)
    give_keys(slow, 5, anchors, COUNTS, [len(own.bboxes) for own in found])
    expected = backward(tiny.losses(slow, data, 5))
    with way():
        got = backward(tiny.losses(fast, data, 5))
    for name, value in expected.items():
        torch.testing.assert_close(got[name].to(value.dtype), value, msg=lambda text, name=name: f"{name}: {text}")
    for (name, a), b in zip(slow.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    return got


@pytest.mark.parametrize("way", [nullcontext, as_on_a_gpu])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_training_step_has_the_losses_and_gradients_of_mmdets_way(settings, way):
    cfg = tiny.tiny_config()
    cfg.merge_from_dict(SETTINGS[settings])
    found = assert_same_step(*pair(cfg), tiny.batch(COUNTS), way)
    heads = {name.partition(".")[0] for name in found if "." in name}
    for head in heads:
        assert {"loss_cls", "loss_bbox", "acc", "positives", "negatives"} <= {
            name.removeprefix(f"{head}.") for name in found
        }


def test_heads_that_take_statistics_of_their_rois_go_mmdets_way():
    """Of fewer RoIs than are drawn the rest is padding, which would count in a batch norm's mean."""
    cfg = tiny.tiny_config()
    assert support.can_train_heads(pair(cfg)[1].roi_head, [])
    cfg.model.roi_head.bbox_head.update(type="Shared4Conv1FCBBoxHead", norm_cfg=dict(type="BN"), conv_out_channels=8)
    _, fast = pair(cfg)
    assert not support.can_train_heads(fast.train().roi_head, [])
    assert support.can_train_heads(fast.eval().roi_head, [])  # its own statistics: padding changes nothing


def test_one_head_has_the_losses_and_gradients_of_stock_mmdet():
    cfg = tiny.tiny_config(ratios=["1:3"])
    stock, (_, fast) = tiny.build(tiny.stock_config().model), pair(cfg)
    names = {name.replace("bbox_head.0.", "bbox_head."): value for name, value in fast.state_dict().items()}
    stock.load_state_dict(names)
    data = tiny.batch(COUNTS)
    x = stock.extract_feat(stock.data_preprocessor(copy.deepcopy(data), True)["inputs"])
    found = stock.rpn_head.predict(x, stock.data_preprocessor(copy.deepcopy(data), True)["data_samples"])
    anchors = sum(stock.rpn_head.num_base_priors * level.shape[-1] * level.shape[-2] for level in x)
    give_keys(stock, 5, anchors, COUNTS, [len(own.bboxes) for own in found])
    expected, got = backward(tiny.losses(stock, data, 5)), backward(tiny.losses(fast, data, 5))
    for name, value in expected.items():
        torch.testing.assert_close(got[name if "rpn" in name else f"1to3.{name}"], value)
    for (name, a), b in zip(stock.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("way", [nullcontext, as_on_a_gpu])
@pytest.mark.parametrize("settings", ["paper", "one head", "class-agnostic, smooth L1"])
def test_detections_are_those_of_mmdets_way(settings, way):
    cfg = tiny.tiny_config(keep_heads=True, methods=["average-boxes", "average-probs"])
    cfg.merge_from_dict(SETTINGS[settings])
    data = tiny.batch(COUNTS)
    data["data_samples"][1].set_metainfo(dict(scale_factor=(0.5, 0.8)))
    slow, fast = (model.eval() for model in pair(cfg))
    with torch.no_grad():
        expected = slow.test_step(copy.deepcopy(data))
        with way():
            got = fast.test_step(copy.deepcopy(data))
    for a, b in zip(expected, got, strict=True):
        assert_same_detections(a.pred_instances, b.pred_instances)
        for variant in a.head_instances.keys():  # noqa: SIM118 (no dict)
            assert_same_detections(a.head_instances.get(variant), b.head_instances.get(variant))


def assert_same_detections(a, b) -> None:
    assert len(a.scores) == len(b.scores) > 0
    torch.testing.assert_close(b.scores, a.scores)
    torch.testing.assert_close(b.bboxes, a.bboxes, rtol=1e-4, atol=1e-3)
    assert b.labels.equal(a.labels)


@pytest.mark.parametrize("way", [nullcontext, as_on_a_gpu])
def test_more_is_looked_at_where_a_few_candidates_or_rounds_do_not_settle_the_result(way, monkeypatch):
    cfg = tiny.tiny_config()
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    _, fast = pair(cfg)
    data = tiny.batch(COUNTS)
    looked_at, keep = [], detections.keep

    def looking(boxes, *args):
        looked_at.append(boxes.size(1))
        return keep(boxes, *args)

    with torch.no_grad():
        expected = fast.eval().test_step(copy.deepcopy(data))
        monkeypatch.setattr(detections, "_CANDIDATES", 2)
        monkeypatch.setattr(detections, "_ROUNDS", 1)
        monkeypatch.setattr(detections, "keep", looking)
        with way():
            got = fast.test_step(copy.deepcopy(data))
    assert looked_at[0] == 8
    most = fast.test_cfg.rpn.max_per_img * fast.roi_head.bbox_head[0].num_classes
    assert looked_at[-1] <= most
    for a, b in zip(expected, got, strict=True):
        assert_same_detections(a.pred_instances, b.pred_instances)


def test_a_seed_gives_the_weights_that_it_gives_mmdets_own():
    cfg = tiny.tiny_config()
    slow, fast = tiny.build(cfg.model), tiny.build({**cfg.model, "type": "BatchedFasterRCNN"})
    assert fast.backbone.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(slow.parameters(), fast.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", [MASK, CASCADE, OHEM])
def test_parts_that_are_not_known_go_mmdets_way(name):
    cfg = family(name)
    set_method(cfg, ratios=parse_ratios(["1:1", "1:9"]))
    assert cfg.model.type.startswith("Batched")
    model = tiny.scramble(tiny.build(cfg.model))
    data = tiny.batch(COUNTS, masks=name == MASK)
    losses = tiny.losses(model, data)
    assert all(torch.as_tensor(value).isfinite().all() for value in backward(losses).values())
    with torch.no_grad():
        slow = copy.deepcopy(model).eval()
        slow.__class__ = type(model).__mro__[2]
        expected, got = (each.eval().test_step(copy.deepcopy(data)) for each in (slow, model))
    for a, b in zip(expected, got, strict=True):
        torch.testing.assert_close(b.pred_instances.scores, a.pred_instances.scores)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_detections_are_those_of_mmdets_way_and_a_step_has_losses():
    slow, fast = (model.cuda() for model in pair(tiny.tiny_config(keep_heads=True)))
    data = tiny.batch(COUNTS)
    assert all(value.isfinite().all() for value in backward(tiny.losses(fast, data)).values())
    with torch.no_grad():
        expected, got = (model.eval().test_step(copy.deepcopy(data)) for model in (slow, fast))
    for a, b in zip(expected, got, strict=True):
        for variant in a.head_instances.keys():  # noqa: SIM118 (no dict)
            assert_same_detections(a.head_instances.get(variant), b.head_instances.get(variant))
