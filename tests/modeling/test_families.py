"""Every family of mmdet's detectors that the recipe serves, from mmdet's own configs: built, trained, evaluated."""

import copy
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from rgacli.config.recipe import set_method
from rgacli.engine.annealing import GradientAnnealingHook, rcnn_parameters
from rgacli.errors import UsageError
from rgacli.method import parse_ratios
from tests.support import families, tiny

# ResNet's last stage comes after RoI alignment: of DC5 before it.
C4 = ("faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco", "mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco")
PRM = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "faster_rcnn/faster-rcnn_r50_fpn_giou_1x_coco",
    "faster_rcnn/faster-rcnn_r50_fpn_ohem_1x_coco",
    pytest.param(C4[0], marks=pytest.mark.slow),
    "faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
    pytest.param(C4[1], marks=pytest.mark.slow),
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
    "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco",
    "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco",
    "sabl/sabl-faster-rcnn_r50_fpn_1x_coco",
    "sabl/sabl-cascade-rcnn_r50_fpn_1x_coco",
    "seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1",
    "groie/faste-rcnn_r50_fpn_groie_1x_coco",
    "gn/mask-rcnn_r50_fpn_gn-all_2x_coco",
]
RCNN = ("bbox_head", "shared_head")
RGA_ALONE = [
    "double_heads/dh-faster-rcnn_r50_fpn_1x_coco",
    "dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco",
    "grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco",
    "htc/htc-without-semantic_r50_fpn_1x_coco",
    "ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco",
    "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco",
]
PLAIN = [
    "retinanet/retinanet_r50_fpn_1x_coco",
    pytest.param("ssd/ssd512_coco", marks=pytest.mark.slow),  # convolutions at 512 pixels
    "yolo/yolov3_d53_8xb8-320-273e_coco",
]


def trained(cfg, data, lambda0=None, steps=2, seed=0):
    """The model after some steps of plain SGD, its weights before, and the last step's log."""
    model = tiny.build(cfg.model, seed)
    before = tiny.state(model)
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3))
    if lambda0:
        hook = GradientAnnealingHook(lambda0, anneal="none")
        hook.before_train(SimpleNamespace(model=model, optim_wrapper=optim_wrapper))
    torch.manual_seed(seed)
    for _ in range(steps):
        log = model.train_step(copy.deepcopy(data), optim_wrapper)
    return model, before, log


def detections_of(model, data):
    """What the model finds in each image."""
    with torch.no_grad():
        return model.eval().test_step(copy.deepcopy(data))


def sample_all(cfg):
    """Have samplers take all that there is: what is drawn at random differs from one way to the other."""
    for key, value in cfg.items():
        if key == "sampler":
            value.num = 10_000
        else:
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict):
                    sample_all(each)


@pytest.mark.parametrize("name", PRM)
def test_parallel_heads_train_and_are_evaluated(name):
    cfg = families.family(name)
    set_method(cfg, ratios=parse_ratios("1:1,1:9,1:1"))
    cfg.model.roi_head.keep_heads = True
    model, before, log = trained(cfg, tiny.batch(masks=True))
    assert log["loss"].isfinite()
    drawn = {key: value for key, value in log.items() if key.endswith("positives")}
    stages = cfg.model.roi_head.get("num_stages", 1)
    assert len(drawn) == 3 * stages
    heads = {key for key in before if key.startswith("roi_head.bbox_head") and "weight" in key}
    assert all(not torch.equal(before[key], value) for key, value in model.state_dict().items() if key in heads)
    for sample in detections_of(model, tiny.batch(masks=True)):
        assert set(sample.head_instances.keys()) == {"1to1", "1to9", "1to1_2", "ensemble"}
        assert torch.equal(sample.head_instances.ensemble.bboxes, sample.pred_instances.bboxes)
        assert ("masks" in sample.pred_instances) == bool(cfg.model.roi_head.get("mask_head"))


@pytest.mark.parametrize("name", PRM)
def test_one_head_at_the_configs_own_ratio_is_the_stock_detector(name):
    stock, single = families.family(name), families.family(name)
    set_method(single, ratios=parse_ratios("1:3"), rga=False)
    for cfg in (stock, single):
        sample_all(cfg.model.train_cfg)
        cfg.model.train_cfg.rpn_proposal.max_per_img = 30
    _, _, expected = trained(stock, tiny.batch(masks=True), steps=1)
    _, _, found = trained(single, tiny.batch(masks=True), steps=1)
    torch.testing.assert_close(found["loss"], expected["loss"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", PRM + RGA_ALONE)
def test_rga_multiplies_what_one_step_does_to_the_rcnn_modules_and_to_nothing_else(name):
    cfg = families.family(name)
    set_method(cfg)
    scaled, before, _ = trained(cfg, tiny.batch(masks=True), lambda0=5.0, steps=1)
    plain, _, _ = trained(cfg, tiny.batch(masks=True), steps=1)
    in_modules = {id(parameter) for parameter in rcnn_parameters(scaled)}
    moved = Counter()
    for (key, parameter), other in zip(scaled.named_parameters(), plain.parameters(), strict=True):
        part = key.split(".")[1] if key.startswith("roi_head.") else "rest"
        factor = 5.0 if part in RCNN else 1.0
        assert (id(parameter) in in_modules) == (part in RCNN)
        step, single = parameter - before[key], other - before[key]
        torch.testing.assert_close(step, factor * single, rtol=1e-2, atol=1e-6)  # of differences of float32 weights
        moved[part] += bool(single.abs().max() > 1e-5)
    assert moved["rest"]
    assert moved["bbox_head"]
    assert bool(moved["shared_head"]) == (name in C4)


@pytest.mark.parametrize("name", RGA_ALONE)
def test_what_cannot_have_parallel_heads_takes_rga_alone_and_refuses_ratios(name):
    cfg = families.family(name)
    kind = cfg.model.roi_head.type
    with pytest.raises(UsageError, match="leave out ratios, prm to train it with RGA"):
        set_method(cfg, ratios=parse_ratios("1:1,1:9"), prm=True)
    set_method(cfg)
    assert cfg.model.roi_head.type == kind
    assert cfg.custom_hooks[-1].type == "GradientAnnealingHook"
    model, _, log = trained(cfg, tiny.batch(masks=True))
    assert log["loss"].isfinite()
    assert "bboxes" in detections_of(model, tiny.batch(masks=True))[0].pred_instances


@pytest.mark.parametrize("name", PLAIN)
def test_any_detector_trains_as_it_is(name):
    cfg = families.family(name)
    with pytest.raises(UsageError, match="train it as it is by rga=False prm=False"):
        set_method(cfg)
    set_method(cfg, rga=False, prm=False)
    data = tiny.batch((1,))
    if name.startswith("ssd"):  # its last feature map needs images of 512 pixels
        data["inputs"] = [image.repeat_interleave(8, 1).repeat_interleave(8, 2) for image in data["inputs"]]
        for sample in data["data_samples"]:
            sample.set_metainfo(dict(img_shape=(512, 512), ori_shape=(512, 512)))
            sample.gt_instances.bboxes *= 8
    model, _, log = trained(cfg, data, steps=1)
    assert log["loss"].isfinite()
    assert "bboxes" in detections_of(model, data)[0].pred_instances
