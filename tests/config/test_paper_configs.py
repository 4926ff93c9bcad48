"""The bundled configs are the rows of the paper's tables, with its settings and those of its toolbox, mmdet 1.x."""

import copy
import functools
import re
from collections import defaultdict
from pathlib import Path

import mmdet
import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder, LegacyDeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator, LegacyAnchorGenerator
from mmdet.registry import MODELS
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, PARAM_SCHEDULERS, init_default_scope

from rgacli.config import files as configs
from rgacli.config.catalogue import read_catalogue
from rgacli.config.recipe import describe_method, set_method
from rgacli.engine.annealing import rcnn_parameters
from rgacli.method import head_names, parse_ratios
from tests.support import families, tiny

CATALOGUE = {entry.name: entry for entry in read_catalogue()}
ROWS = [name for name, entry in CATALOGUE.items() if entry.paper and not entry.plain]
COCO_ROWS = [name for name in ROWS if name.endswith("_coco")]
PLAIN = [name for name, entry in CATALOGUE.items() if entry.plain]
MODERN = [name for name, entry in CATALOGUE.items() if entry.baseline]

# The paper's tables as printed. "-": no number; of a detector with one R-CNN module, its AP is the detector's.
TABLES = {
    1: (
        "AP_R1 AP_R2 AP",
        """- - 36.3
        - - 34.9
        37.0 36.9 37.3""",
    ),
    2: (
        "AP AP50 AP75",
        """36.1 58.1 38.8
        37.3 59.0 40.5
        40.1 62.0 43.8
        40.5 58.6 44.2
        37.3 59.4 40.8
        38.4 59.9 41.8
        41.0 63.2 45.1
        41.1 59.8 44.8
        38.1 60.0 41.6
        39.0 60.5 42.3
        41.4 63.3 45.4
        41.7 60.0 45.5""",
    ),
    3: (
        "AP AP50 AP75 APs APm APl",
        """21.6 44.0 19.2 5.0 22.4 35.5
        31.2 50.4 33.3 10.2 34.5 49.8
        39.1 59.1 42.3 21.8 42.7 50.2
        36.2 59.1 39.0 18.2 39.0 48.2
        38.2 60.3 41.7 20.1 41.1 50.2
        43.0 64.0 47.0 25.3 45.6 54.6
        38.7 60.8 42.3 22.3 42.2 48.5
        42.1 61.0 46.0 23.5 45.5 54.7
        40.2 62.1 43.9 23.4 43.6 50.7
        42.9 64.9 46.7 25.6 46.2 53.7
        43.1 61.5 47.0 24.1 46.1 55.4
        45.3 64.0 49.5 26.6 48.1 57.8""",
    ),
    4: (
        "AP AP50 AP75",
        """36.1 58.1 38.8
        36.7 58.5 39.8
        36.9 59.0 40.2
        37.2 59.0 40.8
        37.3 59.4 40.6
        37.2 59.3 40.0""",
    ),
    5: (
        "AP_R1 AP_R2 AP",
        """- - 36.3
        36.3 34.9 36.5
        36.7 36.7 36.8
        36.8 36.9 37.1
        37.0 36.9 37.3""",
    ),
    6: (
        "AP AP50 AP75",
        """37.3 58.8 40.4
        37.1 58.8 40.1
        38.1 60.0 41.6
        37.9 59.6 41.2""",
    ),
    7: (
        "mMR AP50",
        """50.42 84.95
        47.42 85.02
        46.30 85.43
        45.13 86.37""",
    ),
    8: ("AP", "33.3 36.3 35.2 36.1 35.5 35.7 35.2 35.4".replace(" ", "\n")),
}

BACKBONES = {
    "r50": dict(type="ResNet", depth=50),
    "r101": dict(type="ResNet", depth=101),
    "x101-32x4d": dict(type="ResNeXt", depth=101, groups=32, base_width=4),
    "x101-64x4d": dict(type="ResNeXt", depth=101, groups=64, base_width=4),
}
WEIGHTS = {
    "r50": "torchvision://resnet50",
    "r101": "torchvision://resnet101",
    "x101-32x4d": "open-mmlab://resnext101_32x4d",
    "x101-64x4d": "open-mmlab://resnext101_64x4d",
}

# What is stated where, in mmdet 3's words: key of a resolved config -> value. ("num_classes" 81 of mmdet 1.x counts the
# background in; its "nms_post" and "max_num" are mmdet 3's "max_per_img"; its "+ 1" see below.)
PAPER = {  # Sec. 4.1, "Implementation Details" and "Dataset"; 512 in Sec. 3.1
    "optim_wrapper.optimizer.lr": 0.02,
    "train_dataloader.batch_size": 2,
    "auto_scale_lr.base_batch_size": 16,  # 8 GPUs; on other numbers `rgacli train` scales the learning rate from here
    "param_scheduler.1": dict(type="MultiStepLR", by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
    "train_cfg.max_epochs": 12,
    "train_dataloader.dataset.ann_file": "annotations/instances_train2017.json",  # trainval35k
    "val_dataloader.dataset.ann_file": "annotations/instances_val2017.json",  # minival
    "model.neck.type": "FPN",
    "model.roi_head.bbox_roi_extractor.roi_layer.type": "RoIAlign",
}
TWICE_AS_LONG = {  # "2x", as in Detectron; mmdet 1.x, configs/faster_rcnn_r50_fpn_2x.py
    "param_scheduler.1": dict(type="MultiStepLR", by_epoch=True, begin=0, end=24, milestones=[16, 22], gamma=0.1),
    "train_cfg.max_epochs": 24,
}
LOADING, LABELS = dict(type="LoadImageFromFile", backend_args=None), dict(type="LoadAnnotations", with_bbox=True)
RESIZE = dict(type="Resize", scale=(1333, 800), keep_ratio=True)
RPN_ASSIGNER = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)
RPN_SAMPLER = dict(num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False)
RCNN_SAMPLER = dict(num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
NMS = dict(type="nms", iou_threshold=0.7)
BOTH = {  # mmdet 1.x, configs/{faster,cascade}_rcnn_r50_fpn_1x.py
    "optim_wrapper": dict(
        type="OptimWrapper",
        optimizer=dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=0.0001),
        clip_grad=dict(max_norm=35, norm_type=2),
    ),
    "param_scheduler.0": dict(type="LinearLR", start_factor=1 / 3, by_epoch=False, begin=0, end=500),
    "train_dataloader.dataset.pipeline.0": LOADING,
    "train_dataloader.dataset.pipeline.1": LABELS,
    "train_dataloader.dataset.pipeline.2": RESIZE,
    "train_dataloader.dataset.pipeline.3": dict(type="RandomFlip", prob=0.5),
    "train_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True, min_size=32),
    "test_dataloader.dataset.pipeline.1": RESIZE,
    "model.data_preprocessor": dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    "model.backbone.num_stages": 4,
    "model.backbone.out_indices": (0, 1, 2, 3),
    "model.backbone.frozen_stages": 1,
    "model.backbone.style": "pytorch",
    "model.backbone.norm_cfg": dict(type="BN", requires_grad=True),
    "model.backbone.norm_eval": True,
    "model.neck": dict(type="FPN", in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
    "model.rpn_head": dict(
        type="RPNHead",
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type="AnchorGenerator",
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64],
            center_offset=0.5,  # core/anchor/anchor_generator.py
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0] * 4, target_stds=[1.0] * 4),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type="SmoothL1Loss", beta=1 / 9, loss_weight=1.0),
    ),
    "model.roi_head.bbox_roi_extractor": dict(
        type="SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2, aligned=False),  # ops/roi_align
        out_channels=256,
        featmap_strides=[4, 8, 16, 32],
    ),
    "model.train_cfg.rpn": dict(
        assigner=dict(type="MaxIoUAssigner", **RPN_ASSIGNER, match_low_quality=True, ignore_iof_thr=-1),
        sampler=dict(type="RandomSampler", **RPN_SAMPLER),
        allowed_border=0,
        pos_weight=-1,
        debug=False,
    ),
    "model.train_cfg.rpn_proposal": dict(nms_pre=2000, max_per_img=2000, nms=NMS, min_bbox_size=0),
    "model.test_cfg.rpn": dict(nms_pre=1000, max_per_img=1000, nms=NMS, min_bbox_size=0),
    "model.test_cfg.rcnn": dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),
}


def rcnn(iou):
    """A stage's training; mmdet 1.x matches low-quality boxes here too (core/bbox/assigners/max_iou_assigner.py)."""
    return dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=iou,
            neg_iou_thr=iou,
            min_pos_iou=iou,
            match_low_quality=True,
            ignore_iof_thr=-1,
        ),
        sampler=dict(type="RandomSampler", **RCNN_SAMPLER),
        pos_weight=-1,
        debug=False,
    )


def bbox_head(stds, agnostic):
    """An R-CNN module: "2 shared fc and 2 separate fc layers" (the paper)."""
    return dict(
        type="Shared2FCBBoxHead",
        in_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=80,
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0] * 4, target_stds=stds),
        reg_class_agnostic=agnostic,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
    )


DETECTORS = {
    "faster-rcnn": {
        "model.type": "FasterRCNN",
        "model.roi_head.type": "ParallelRoIHead",
        "model.roi_head.bbox_head": bbox_head([0.1, 0.1, 0.2, 0.2], agnostic=False),
        "model.train_cfg.rcnn": rcnn(0.5),
    },
    "cascade-rcnn": {
        "model.type": "CascadeRCNN",
        "model.roi_head.type": "ParallelCascadeRoIHead",
        "model.roi_head.num_stages": 3,
        "model.roi_head.stage_loss_weights": [1, 0.5, 0.25],
        "model.roi_head.bbox_head": [
            bbox_head(stds, agnostic=True)
            for stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
        ],
        "model.train_cfg.rcnn": [rcnn(0.5), rcnn(0.6), rcnn(0.7)],
    },
}

load_config = functools.cache(configs.load_config)


def stated(name):
    """All that is stated of a row on COCO."""
    detector, backbone, *_, schedule, _ = name.split("_")
    init_cfg = dict(type="Pretrained", checkpoint=WEIGHTS[backbone])
    of_backbone = {f"model.backbone.{key}": value for key, value in BACKBONES[backbone].items()}
    longer = {"1x": {}, "2x": TWICE_AS_LONG}[schedule]
    return BOTH | DETECTORS[detector] | of_backbone | {"model.backbone.init_cfg": init_cfg} | PAPER | longer


def value_at(config, key):
    """A config's value at "key.sub_key", lists by number."""
    for part in key.split("."):
        config = config[int(part) if part.isdigit() else part]
    return without_scope(config)


def without_scope(value):
    """A config's value without the notes that mmengine leaves in what comes from another package."""
    if isinstance(value, dict):
        return {key: without_scope(item) for key, item in value.items() if key != "_scope_"}
    return [without_scope(item) for item in value] if isinstance(value, list) else value


def settings(value, key=""):
    """Every single setting of a config: "key.sub_key" -> value."""
    if isinstance(value, (dict, list)) and value:
        for sub_key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from settings(item, f"{key}.{sub_key}" if key else str(sub_key))
    else:
        yield key, value


def changed(name, from_name):
    """What a config has that another has not, or has otherwise: "key.sub_key" -> value."""
    old = dict(settings(without_scope(load_config(from_name).to_dict())))
    new = dict(settings(without_scope(load_config(name).to_dict())))
    assert old.keys() - new.keys() <= {"custom_hooks"}
    return {key: value for key, value in new.items() if key not in old or old[key] != value}


@functools.cache
def built(name):
    """A config's detector at its full size: shapes without memory, a tenth of a second each."""
    init_default_scope("mmdet")
    with torch.device("meta"):
        return MODELS.build(copy.deepcopy(load_config(name).model))


def stages(name):
    """Of a cascade; 1 of any other detector."""
    return load_config(name).model.get("roi_head", {}).get("num_stages", 1)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_the_papers_tables_has_its_config_and_its_numbers(table):
    columns, printed = TABLES[table]
    expected = [
        {metric: float(number) for metric, number in zip(columns.split(), line.split(), strict=True) if number != "-"}
        for line in printed.splitlines()
    ]
    rows = defaultdict(dict)
    for entry in CATALOGUE.values():
        for result in entry.paper:
            if result["table"] == table:
                numbers = {metric: value for metric, value in result.items() if metric not in ("table", "row")}
                row = rows[result["row"]]
                assert all(row[metric] == numbers[metric] for metric in row.keys() & numbers.keys())
                row.update(numbers)  # the two detectors of Table 5's second row each have their part of it

    def in_order(results):
        return sorted(results, key=lambda numbers: sorted(numbers.items()))

    assert in_order(rows.values()) == in_order(expected)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_says_what_the_resolved_config_says(name):
    entry, cfg = CATALOGUE[name], load_config(name)
    assert entry.description
    assert entry.settings == cfg.get("settings", "mmdet 3")
    assert entry.plain == cfg.get("plain", False)
    assert list(entry.paper) == cfg.get("paper", [])
    assert entry.baseline == cfg.get("baseline")
    hooks = [hook for hook in cfg.get("custom_hooks", []) if hook.type == "GradientAnnealingHook"]
    assert [(hook.lambda0, hook.get("anneal", "linear")) for hook in hooks] == [
        (entry.lambda0, entry.anneal) for _ in range(not entry.plain)
    ]
    roi_head = cfg.model.get("roi_head", {})
    assert roi_head.get("ratios", []) == list(entry.ratios)
    assert entry.sampling == (None if entry.plain else roi_head.get("sampling", "soft"))


def test_a_config_takes_no_row_from_the_one_it_inherits():
    for name in CATALOGUE:
        if CATALOGUE[name].paper:
            assert (configs.CONFIGS / f"{name}.py").read_text().count("\npaper = ") == 1


@pytest.mark.parametrize("name", ROWS)
def test_a_name_says_the_method(name):
    """{detector}_{backbone}_{neck}_{what}_{schedule}_{dataset}; the paper's λ0 and ratios go without saying."""
    what = name.split("_")[3]
    lambda0 = int(found[1]) if (found := re.search(r"lambda(\d+)", what)) else 7 if "rga" in what else 1
    ratios = re.findall(r"(\d+)to(\d+)", what) or ([("1", "1"), ("1", "9")] if "prm" in what else [("1", "3")])
    entry = CATALOGUE[name]
    assert entry.lambda0 == lambda0
    assert entry.anneal == ("none" if "no-anneal" in what else "linear")
    assert entry.ratios == tuple(map(":".join, ratios))
    assert entry.sampling == ("hard" if "hard" in what else "soft")


@pytest.mark.parametrize("name", COCO_ROWS)
def test_a_row_has_every_setting_that_the_paper_or_mmdet_1_states(name):
    cfg = load_config(name)
    assert CATALOGUE[name].settings == "mmdet 1.x"
    for key, value in stated(name).items():
        assert value_at(cfg, key) == value, key


@pytest.mark.parametrize("name", COCO_ROWS)
def test_a_row_is_mmdets_own_detector_but_for_what_is_stated(name):
    detector, backbone, neck, *_, schedule, _ = name.split("_")
    own = f"mmdet::{detector.replace('-', '_')}/{detector}_{backbone}_{neck}_{schedule}_coco.py"
    of_ours = re.compile(
        r"settings|paper\.|custom_imports\.|custom_hooks\.|model\.roi_head\.(type|ratios\.\d|sampling)$"
    )
    unlike = {key: value for key, value in changed(name, own).items() if not of_ours.match(key)}
    old = dict(settings(without_scope(load_config(own).to_dict())))
    assert unlike == {
        key: value
        for whole, part in stated(name).items()
        for key, value in settings(part, whole)
        if old.get(key) != value and not of_ours.match(key)
    }


def test_the_baseline_is_mmdets_legacy_config_but_for_what_that_leaves_out_and_its_coordinates():
    unlike = changed("faster-rcnn_r50_fpn_1x_coco", "mmdet::legacy_1.x/faster-rcnn_r50_fpn_1x_coco_v1.py")
    ours = ("settings", "paper", "custom_imports", "custom_hooks")
    assert {key: value for key, value in unlike.items() if key.partition(".")[0] not in ours} == {
        "model.roi_head.type": "ParallelRoIHead",
        "model.roi_head.ratios.0": "1:3",
        "model.rpn_head.anchor_generator.type": "AnchorGenerator",
        "model.rpn_head.bbox_coder.type": "DeltaXYWHBBoxCoder",
        "model.roi_head.bbox_head.bbox_coder.type": "DeltaXYWHBBoxCoder",
        "model.train_cfg.rpn.allowed_border": 0,
        "optim_wrapper.clip_grad.max_norm": 35,
        "optim_wrapper.clip_grad.norm_type": 2,
        "param_scheduler.0.start_factor": 1 / 3,
    }


@pytest.mark.parametrize("name", ROWS)
def test_the_detector_of_a_row_is_built_with_those_settings(name):
    model = built(name)
    roi_head = model.roi_head
    layers = [module for module in model.modules() if isinstance(module, RoIAlign)]
    assert len(layers) == 4 * stages(name)
    assert {(layer.output_size, layer.sampling_ratio, layer.aligned) for layer in layers} == {((7, 7), 2, False)}
    heads = [module for module in roi_head.modules() if hasattr(module, "fc_reg")]
    assert len(heads) == stages(name) * len(CATALOGUE[name].ratios)
    losses = {(type(head.loss_bbox).__name__, head.loss_bbox.beta, head.loss_bbox.loss_weight) for head in heads}
    assert losses == {("SmoothL1Loss", 1.0, 1.0)}
    rpn = model.rpn_head
    assert (type(rpn.loss_bbox).__name__, rpn.loss_bbox.beta) == ("SmoothL1Loss", pytest.approx(1 / 9))
    assert rpn.prior_generator.center_offset == 0.5
    assert rpn.train_cfg.allowed_border == (-1 if name.endswith("crowdhuman") else 0)
    assert model.train_cfg.rpn_proposal.max_per_img == 2000
    assert (model.test_cfg.rpn.nms_pre, model.test_cfg.rpn.max_per_img) == (1000, 1000)
    assigners = roi_head.bbox_assigner if isinstance(roi_head.bbox_assigner, list) else [roi_head.bbox_assigner]
    assert [assigner.match_low_quality for assigner in assigners] == [True] * stages(name)


@pytest.mark.parametrize(
    ("name", "drops"), [("faster-rcnn_r50_fpn_1x_coco", (8, 11)), ("faster-rcnn_r50_fpn_2x_coco", (16, 22))]
)
def test_the_learning_rate_rises_from_a_third_and_falls_twice(name, drops):
    cfg = load_config(name)
    init_default_scope("mmdet")
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), copy.deepcopy(cfg.optim_wrapper))
    warm_up, steps = (
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper)) for scheduler in without_scope(cfg.param_scheduler)
    )
    rates = []
    for _ in range(501):
        rates.append(wrapper.get_lr()["lr"][0])
        wrapper.step()
        warm_up.step()
    assert rates[0] == pytest.approx(0.02 / 3)
    assert rates[250] == pytest.approx(0.02 * 2 / 3, rel=1e-2)
    assert rates[499:] == pytest.approx([0.02, 0.02])
    by_epoch = []
    for _ in range(cfg.train_cfg.max_epochs):
        by_epoch.append(wrapper.get_lr()["lr"][0])
        wrapper.step()
        steps.step()
    first, second = drops
    expected = [0.02] * first + [0.002] * (second - first) + [0.0002] * (cfg.train_cfg.max_epochs - second)
    assert by_epoch == pytest.approx(expected)


def test_gradients_are_clipped_at_a_norm_of_35():
    weight = torch.nn.Linear(1, 1, bias=False)
    wrapper = build_optim_wrapper(weight, copy.deepcopy(load_config("faster-rcnn_r50_fpn_1x_coco").optim_wrapper))
    before = weight.weight.item()
    wrapper.update_params(1000 * weight.weight.sum())
    assert before - weight.weight.item() == pytest.approx(0.02 * (35 + 1e-4 * before), rel=1e-4)


@pytest.mark.parametrize("name", ["faster-rcnn_r50_fpn_rga-prm_1x_coco", "cascade-rcnn_r50_fpn_rga-prm_1x_coco"])
def test_a_row_trains(name):
    """On the native ops that are at hand: RoIAlign that is not aligned, forward and backward."""
    cfg = families.shrunken(copy.deepcopy(load_config(name)))
    model = tiny.build(cfg.model)
    wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, optimizer=dict(type="SGD", lr=1e-3)))
    before = tiny.state(model)
    log = model.train_step(tiny.batch(), wrapper)
    assert log["loss"].isfinite()
    unmoved = {key for key, value in model.state_dict().items() if torch.equal(value, before[key])}
    assert not {key for key in unmoved if key.startswith(("rpn_head", "roi_head", "neck.lateral"))}
    assert len(rcnn_parameters(model)) == 8 * len(cfg.model.roi_head.ratios) * cfg.model.roi_head.get("num_stages", 1)


PIXEL = torch.tensor([0.0, 0.0, 1.0, 1.0])
"""mmdet 3's box (x1, y1, x2, y2), less this, is mmdet 1.x's."""


def random_boxes(number, seed):
    """(number, 4) xyxy boxes of 4 to 300 pixels."""
    generator = torch.Generator().manual_seed(seed)
    corners = 600 * torch.rand(number, 2, generator=generator)
    return torch.cat([corners, corners + 4 + 296 * torch.rand(number, 2, generator=generator)], dim=1)


def test_box_coders_of_mmdet_1_and_3_are_one_in_their_own_coordinates():
    old, new = LegacyDeltaXYWHBBoxCoder(), DeltaXYWHBBoxCoder()
    boxes, truth = random_boxes(200, seed=0), random_boxes(200, seed=1)
    deltas = new.encode(boxes, truth)
    torch.testing.assert_close(old.encode(boxes - PIXEL, truth - PIXEL), deltas, rtol=1e-4, atol=1e-5)
    # mmdet 1.x itself moves what it decodes half a pixel inward on all sides (core/bbox/transforms.py).
    inward = torch.tensor([0.5, 0.5, -0.5, -0.5])
    torch.testing.assert_close(old.decode(boxes - PIXEL, deltas) + inward + PIXEL, new.decode(boxes, deltas))


def test_the_legacy_box_coder_is_not_for_training():
    """In mmdet 3 it decodes what it has encoded as a box that is a pixel too wide and too high."""
    old, boxes, truth = LegacyDeltaXYWHBBoxCoder(), random_boxes(200, seed=0), random_boxes(200, seed=1)
    outward = torch.tensor([-0.5, -0.5, 0.5, 0.5])
    torch.testing.assert_close(old.decode(boxes, old.encode(boxes, truth)), truth + outward, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["faster-rcnn_r50_fpn_1x_coco", "cascade-rcnn_r50_fpn_1x_coco"])
def test_anchors_are_those_of_mmdet_1_before_it_rounds_them(name):
    arguments = value_at(load_config(name), "model.rpn_head.anchor_generator")
    assert arguments.pop("type") == "AnchorGenerator"
    anchors, legacy = AnchorGenerator(**arguments), LegacyAnchorGenerator(**arguments)
    for own, rounded in zip(anchors.base_anchors, legacy.base_anchors, strict=True):
        assert (own - (rounded + PIXEL)).abs().max() <= 0.5


@pytest.mark.parametrize("name", ["faster-rcnn_r50_fpn_1x_coco", "cascade-rcnn_r50_fpn_1x_coco"])
def test_roi_features_are_taken_where_mmdet_1_takes_them(name):
    """Its RoIs reach from x1 to x2 + 1 of its own (ops/roi_align), and no sample is moved by half a pixel."""
    roi_layer = value_at(load_config(name), "model.roi_head.bbox_roi_extractor.roi_layer")
    assert roi_layer.pop("type") == "RoIAlign"
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)  # a bin's feature is then the mean place of its samples
    x1, x2 = 40.0, 131.0
    (((row, *_),),) = RoIAlign(**roi_layer, spatial_scale=1 / 4)(ramp, torch.tensor([[0.0, x1, 20.0, x2 + 1, 60.0]]))
    width = (x2 - x1 + 1) / 4 / 7
    torch.testing.assert_close(row, x1 / 4 + width * (torch.arange(7) + 0.5))


@pytest.mark.parametrize("name", MODERN)
def test_a_modern_config_is_mmdets_own_but_for_its_method(name):
    unlike = changed(name, CATALOGUE[name].baseline["config"])
    assert {key: value for key, value in unlike.items() if not key.startswith("baseline.")} == {
        "model.roi_head.type": DETECTORS[name.split("_")[0]]["model.roi_head.type"],
        "model.roi_head.ratios.0": "1:1",
        "model.roi_head.ratios.1": "1:9",
        "custom_hooks.0.type": "GradientAnnealingHook",
        "custom_hooks.0.lambda0": 7.0,
        "custom_imports.imports.0": "rgacli.core",
        "custom_imports.allow_failed_imports": False,
    }


@pytest.mark.parametrize("name", MODERN)
def test_a_baseline_is_what_mmdet_publishes(name):
    baseline = CATALOGUE[name].baseline
    family, file = baseline["config"].removeprefix("mmdet::").split("/")
    models = load(Path(mmdet.__file__).parent / ".mim/configs" / family / "metafile.yml")["Models"]
    (published,) = (model for model in models if model["Config"] == f"configs/{family}/{file}")
    (result,) = published["Results"]
    assert (result["Dataset"], result["Metrics"]["box AP"]) == ("COCO", baseline["AP"])


def test_no_paper_number_stands_beside_mmdet_3s_settings_but_for_published_detectors():
    assert MODERN
    assert {entry.settings for entry in CATALOGUE.values() if entry.paper and not entry.plain} == {"mmdet 1.x"}
    assert {entry.settings for entry in CATALOGUE.values() if not entry.paper or entry.plain} == {"mmdet 3"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_config_builds_at_its_full_size_with_a_head_per_ratio(name):
    cfg = load_config(name)
    heads = [module_name for module_name, _ in built(name).named_modules() if module_name.endswith(".fc_cls")]
    if not CATALOGUE[name].plain:
        assert len(heads) == stages(name) * len(CATALOGUE[name].ratios)
        assert "rgacli.core" in cfg.custom_imports.imports
        (hook,) = [hook for hook in cfg.custom_hooks if hook.type == "GradientAnnealingHook"]
        assert HOOKS.build(hook).rga.lambda0 == CATALOGUE[name].lambda0


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_the_catalogue_says_is_what_is_trained(name):
    entry, cfg = CATALOGUE[name], copy.deepcopy(load_config(name))
    set_method(cfg)
    assert not cfg.keys() & {"paper", "baseline", "settings"}  # said of the config as it stands, not of a run
    if entry.plain:
        assert describe_method(cfg).endswith(" as the config has it, no PRM, no RGA")
    else:
        names = ", ".join(head_names(parse_ratios(list(entry.ratios))))
        heads = f"{len(entry.ratios)} R-CNN head{'s' * (len(entry.ratios) > 1)} at {names}"
        assert describe_method(cfg) == f"{heads} ({entry.sampling} sampling), λ0 {entry.lambda0:g} ({entry.anneal})"


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_config_is_mmdets_own(name):
    (base,) = re.findall(r'^_base_ = "(.+)"$', (configs.CONFIGS / f"{name}.py").read_text(), re.MULTILINE)
    cfg = without_scope(load_config(name).to_dict())
    assert cfg.pop("plain") is True
    assert cfg.pop("paper")
    assert cfg == load_config(base).to_dict()
