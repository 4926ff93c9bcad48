import re

import pytest

from rgacli.config.files import load_config
from tests.config.test_paper_configs import settings, stated, value_at

COCO = "faster-rcnn_r50_fpn_1x_coco"
BASE = "faster-rcnn_r50_fpn_8xb2-30e_crowdhuman"
ROWS = {
    BASE: (["1:3"], 1.0),
    "faster-rcnn_r50_fpn_prm_8xb2-30e_crowdhuman": (["1:1", "1:9"], 1.0),
    "faster-rcnn_r50_fpn_rga-prm_8xb2-30e_crowdhuman": (["1:1", "1:9"], 7.0),
}


@pytest.fixture(scope="module", params=ROWS)
def row(request):
    """A row's config, with its ratios and λ0."""
    return load_config(request.param), *ROWS[request.param]


def test_each_row_has_its_method(row):
    cfg, ratios, lambda0 = row
    assert cfg.model.roi_head.type == "ParallelRoIHead"
    assert cfg.model.roi_head.ratios == ratios
    assert [(hook.type, hook.lambda0) for hook in cfg.custom_hooks] == [("GradientAnnealingHook", lambda0)]
    assert {result.table for result in cfg.paper} == {7}


def test_each_row_trains_as_crowdhumans_paper_does(row):
    cfg, *_ = row
    model = cfg.model
    assert (model.type, model.backbone.depth, model.neck.type) == ("FasterRCNN", 50, "FPN")
    assert model.rpn_head.anchor_generator.ratios == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert model.roi_head.bbox_head.num_classes == 1
    assert cfg.optim_wrapper.optimizer == dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=0.0001)
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 16
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        (resize,) = (step for step in loader.dataset.pipeline if step.type == "Resize")
        assert (resize.scale, resize.keep_ratio) == ((1400, 800), True)


def test_the_schedule_is_the_one_the_name_says(row):
    cfg, *_ = row
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == 30
    assert cfg.param_scheduler[-1].milestones == [24, 27]


def test_what_crowdhumans_paper_leaves_open_is_mmdet_1s(row):
    """Of what is stated for the rows on COCO, all but what a dataset of one class, in crowds, has otherwise."""
    cfg, *_ = row
    otherwise = re.compile(
        r"param_scheduler\.1\.(end|milestones\.\d)|train_cfg\.max_epochs|(train|val)_dataloader\.dataset\.ann_file"
        r"|(train|test)_dataloader\.dataset\.pipeline\.\d\.scale"
        r"|model\.rpn_head\.anchor_generator\.ratios\.\d|model\.roi_head\.bbox_head\.num_classes"
        r"|model\.train_cfg\.(rpn|rcnn)\.assigner\.ignore_iof_thr|model\.train_cfg\.rpn\.allowed_border"
        r"|model\.test_cfg\.rcnn\.(score_thr|max_per_img)"
    )
    keys = {key: value for whole, part in stated(COCO).items() for key, value in settings(part, whole)}
    unlike = {key for key, value in keys.items() if value_at(cfg, key) != value}
    assert {key for key in unlike if not otherwise.fullmatch(key)} == set()
    assert {"param_scheduler.0.start_factor", "optim_wrapper.clip_grad.max_norm"} < keys.keys() - unlike


def test_no_box_is_clipped_to_its_image(row):
    cfg, *_ = row
    assert cfg.model.rpn_head.bbox_coder.clip_border is False
    assert cfg.model.roi_head.bbox_head.bbox_coder.clip_border is False
    (resize,) = (step for step in cfg.train_dataloader.dataset.pipeline if step.type == "Resize")
    assert resize.clip_object_border is False


def test_crowds_are_detected_whole_and_measured_by_crowdhumans_metrics(row):
    cfg, *_ = row
    assert cfg.model.test_cfg.rcnn.max_per_img == 500
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == "VariantsCrowdHumanMetric"
