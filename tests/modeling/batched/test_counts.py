"""How many operations a step launches and how often it waits: the same for any batch (counts are exact)."""

import copy

import pytest
import torch

from rgacli.bench.counting import count
from rgacli.config.files import load_config
from rgacli.config.recipe import set_method
from rgacli.method import parse_ratios
from rgacli.modeling.fusing import fuse
from tests.support import tiny

IMAGES = (2, 8, 16)


@pytest.fixture(scope="module")
def detector():
    """Faster R-CNN with ResNet-50 and FPN, of few channels: as many operations as with all of them."""
    cfg = load_config("faster-rcnn_r50_fpn_rga-prm")
    set_method(cfg, ratios=parse_ratios("1:1,1:9"))
    cfg.merge_from_dict(
        {
            "model.backbone": dict(base_channels=8, init_cfg=None),
            "model.neck": dict(in_channels=[32, 64, 128, 256], out_channels=16),
            "model.rpn_head": dict(in_channels=16, feat_channels=16),
            "model.roi_head.bbox_roi_extractor.out_channels": 16,
            "model.train_cfg.rpn_proposal.nms_pre": 100,
            "model.test_cfg.rpn.nms_pre": 100,
            "model.roi_head.bbox_head": dict(in_channels=16, fc_out_channels=32),
        }
    )
    model = tiny.build(cfg.model)
    tiny.scramble(model.rpn_head)  # fresh weights rank anchors by their place, which makes chains in NMS without end
    return model


def counted(model, images, mode):
    data = model.data_preprocessor(tiny.batch((8,) * images), mode == "loss")
    with torch.set_grad_enabled(mode == "loss"):
        count(lambda: model(**copy.deepcopy(data), mode=mode))  # makes anchors, which are kept from then on
        found = count(lambda: model(**data, mode=mode))
    return found.ops, found.syncs + found.nms


def test_a_training_step_is_as_many_operations_for_any_batch(detector):
    (ops, syncs), *others = (counted(detector.train(), images, "loss") for images in IMAGES)
    assert others == [(ops, syncs)] * 2
    assert ops <= 600
    assert syncs <= 4


def test_a_prediction_is_as_many_operations_for_any_batch(detector):
    model = fuse(copy.deepcopy(detector).eval())
    (ops, syncs), *others = (counted(model, images, "predict") for images in IMAGES)
    assert others == [(ops, syncs)] * 2
    assert ops <= 350
    assert syncs <= 2
