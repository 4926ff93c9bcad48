import copy

import pytest

from rgacli.config.schema import SCHEMA, TRAINED_BY, misfit, shortened

LOADER = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler"),
    dataset=dict(
        type="RepeatDataset",
        dataset=dict(
            type="ConcatDataset",
            datasets=[dict(type="CocoDataset", ann_file="a.json", metainfo=dict(classes=("cell",)))],
        ),
    ),
)
GOOD = dict(
    model=dict(
        type="CascadeRCNN",
        backbone=dict(type="ResNet", init_cfg=None),
        neck=[dict(type="FPN"), dict(type="BFP")],
        rpn_head=dict(
            type="RPNHead",
            anchor_generator=dict(type="AnchorGenerator", scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, (8, 8)]),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=(0.0, 0.0, 0.0, 0.0), target_stds=[1, 1, 1, 1]),
        ),
        roi_head=dict(
            type="CascadeRoIHead",
            num_stages=2,
            bbox_head=[dict(type="Shared2FCBBoxHead", num_classes=3) for _ in range(2)],
        ),
        train_cfg=dict(
            rpn=dict(assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.7, neg_iou_thr=(0, 0.3), min_pos_iou=0.3)),
            rcnn=[dict(sampler=dict(type="RandomSampler", num=512, pos_fraction=0.25)) for _ in range(2)],
        ),
        test_cfg=dict(rcnn=dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)),
    ),
    train_dataloader=LOADER,
    val_dataloader=LOADER,
    test_dataloader=LOADER,
    train_cfg=dict(max_iters=9e4, val_interval=1),
    optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.02), clip_grad=None),
    param_scheduler=[dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11])],
    default_hooks=dict(checkpoint=dict(interval=1, save_best=["a", "b"]), timer=None),
    custom_hooks=[dict(type="Mine", whatever=object())],
    of_somebody=object(),
)


def with_value(path, value):
    config = copy.deepcopy(GOOD)
    *owners, last = path.split(".")
    owner = config
    for name in owners:
        owner = owner[int(name) if isinstance(owner, list) else name]
    if value is ...:
        del owner[last]
    else:
        owner[int(last) if isinstance(owner, list) else last] = value
    return config


def test_a_config_as_it_should_be_fits():
    assert misfit(GOOD, TRAINED_BY) is None
    assert misfit({}) is None


INNERMOST = "train_dataloader.dataset.dataset.datasets.0"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model", "text", "model is 'text'; expected a dict with the name of a class as its `type`"),
        ("model.type", None, "expected a dict with the name of a class as its `type`"),
        (
            "model.rpn_head.anchor_generator.ratios",
            [0.5, [1]],
            "ratios is [0.5, [1]]; expected a list of numbers above 0",
        ),
        (
            "model.rpn_head.anchor_generator.strides",
            [4, 0],
            "strides is [4, 0]; expected a list of numbers above 0, or",
        ),
        ("model.rpn_head.bbox_coder.target_stds", [1, 1, 1], "target_stds is [1, 1, 1]; expected four finite numbers"),
        ("model.train_cfg.rpn", [], "model.train_cfg.rpn is []; expected a dict or None"),
        ("model.train_cfg.rpn.assigner.min_pos_iou", [1], "min_pos_iou is [1]; expected a number from 0 to 1"),
        ("model.test_cfg.rcnn.nms.type", -1, "nms.type is -1; expected nms or soft_nms"),
        ("model.test_cfg.rcnn.nms.iou_thrx", 0.5, "expected a dict of type, iou_threshold"),
        ("model.roi_head", 3, "model.roi_head is 3; expected a dict or None"),
        ("model.roi_head.bbox_head", [], "model.roi_head.bbox_head is []"),
        ("model.roi_head.bbox_head.1.num_classes", "3", "bbox_head.1.num_classes is '3'; expected a whole number"),
        ("model.train_cfg.rcnn.1.sampler.num", 0, "rcnn.1.sampler.num is 0; expected a whole number, at least 1"),
        ("model.train_cfg.rcnn.0.sampler.pos_fraction", float("nan"), "pos_fraction is nan"),
        ("model.test_cfg.rcnn.score_thr", "0.05", "score_thr is '0.05'; expected a finite number"),
        ("model.test_cfg.rcnn.max_per_img", 0, "or -1 for no limit"),
        ("train_dataloader.batch_size", True, "batch_size is True"),
        ("train_dataloader.batch_size", 1.5, "batch_size is 1.5"),
        ("val_dataloader.dataset", ..., "expected a dict with a `dataset`"),
        (f"{INNERMOST}.ann_file", 3, f"{INNERMOST}.ann_file is 3; expected a text"),
        (f"{INNERMOST}.metainfo", [], f"{INNERMOST}.metainfo is []"),
        (f"{INNERMOST}.metainfo.classes", "cell", "expected a list of the classes' names"),
        ("train_cfg.val_interval", 0, "train_cfg.val_interval is 0; expected a whole number, at least 1"),
        ("train_cfg.max_iters", 1e30, "train_cfg.max_iters is 1e+30"),
        ("optim_wrapper.optimizer.lr", "0.02", "lr is '0.02'; expected a finite number above 0"),
        ("optim_wrapper.optimizer.lr", -1, "lr is -1"),
        ("param_scheduler.0.milestones", 8, "param_scheduler.0.milestones is 8; expected a list of whole numbers"),
        ("default_hooks.checkpoint", 3, "default_hooks.checkpoint is 3"),
        ("default_hooks.checkpoint.save_best", 3, "save_best is 3; expected a text or a list of texts or None"),
        ("custom_hooks", [None], "custom_hooks is [None]; expected a list of dicts"),
        ("train_cfg", None, "it has no train_cfg, which training needs"),
        ("optim_wrapper.optimizer.lr", ..., "it has no optim_wrapper.optimizer.lr, which training needs"),
        ("train_dataloader", {}, "it has no train_dataloader, which training needs"),
    ],
)
def test_a_key_that_is_not_what_we_take_it_for_is_named_with_what_was_expected(key, value, words):
    found = misfit(with_value(key, value), TRAINED_BY)
    assert found is not None
    assert words in found


def test_there_is_no_key_that_takes_anything():
    assert [key for key, kind in SCHEMA.items() if kind.fits(object())] == []


def test_a_long_value_is_shortened_and_stays_on_a_line():
    assert shortened("a\n" * 100) == "a " * 30 + "…"
