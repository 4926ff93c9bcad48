import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmengine.config import ConfigDict

from rgacli.errors import UsageError
from rgacli.export.parity import compare_detections
from rgacli.export.traceable import TraceableDetector
from tests.support import families, tiny
from tests.support.tracing import FAMILIES, detections, image, mmdets_own, scrambled


def traced(model, pixels):
    """What the model finds as a graph."""
    with torch.no_grad():
        boxes, scores, labels = TraceableDetector(model).eval()(pixels)
    return detections(boxes, scores, labels)


def assert_same(model, height=70, width=100):
    expected = mmdets_own(model, image(height, width))
    found = traced(model, image(height, width))
    assert len(expected) > 5
    assert compare_detections([found], [expected]).within(1e-3, 1e-5)
    assert (found.scores[:-1] >= found.scores[1:]).all()


@pytest.mark.parametrize("size", [(70, 100), (64, 64), (33, 129)])
@pytest.mark.parametrize("name", FAMILIES)
def test_it_detects_what_mmdets_inference_does(name, size):
    assert_same(scrambled(families.family(name)), *size)


@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize("name", [FAMILIES[0], FAMILIES[2]])
def test_boxes_by_class_and_for_all_classes(name, agnostic):
    cfg = families.family(name)
    heads = cfg.model.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.reg_class_agnostic = agnostic
    assert_same(scrambled(cfg))


@pytest.mark.parametrize(
    "settings",
    [
        {"rpn_head.loss_cls": dict(type="CrossEntropyLoss", use_sigmoid=False)},
        {"rpn_head.bbox_coder.clip_border": False},
        {"data_preprocessor": dict(type="DetDataPreprocessor", bgr_to_rgb=False, pad_size_divisor=1)},
        {"data_preprocessor.pad_value": 7},
        {"test_cfg.rpn.min_bbox_size": 12},
        {"test_cfg.rcnn.max_per_img": 6},
        {"test_cfg.rcnn.max_per_img": -1},
    ],
)
def test_settings_are_followed(settings):
    cfg = families.family(FAMILIES[0])
    cfg.model = ConfigDict(cfg.model)
    cfg.merge_from_dict({f"model.{key}": value for key, value in settings.items()})
    if "data_preprocessor" in settings:
        cfg.model.data_preprocessor = ConfigDict(settings["data_preprocessor"])
    assert_same(scrambled(cfg))


def test_nothing_found_is_no_error():
    model = scrambled(families.family(FAMILIES[0]))
    model.roi_head.test_cfg.score_thr = 1.0
    assert len(traced(model, image(64, 64))) == 0


def test_a_head_that_regresses_in_its_own_way_is_refused():
    class Own(Shared2FCBBoxHead):
        def regress_by_class(self, *args, **kwargs):
            return super().regress_by_class(*args, **kwargs) + 1

    model = scrambled(families.family(FAMILIES[0]))
    model.roi_head.bbox_head.__class__ = Own
    with pytest.raises(UsageError, match="Own has steps of its own"):
        TraceableDetector(model)


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("retinanet/retinanet_r50_fpn_1x_coco", {}, "RetinaNet: ONNX files are made of FasterRCNN, CascadeRCNN"),
        ("double_heads/dh-faster-rcnn_r50_fpn_1x_coco", {}, "DoubleHeadRoIHead has steps of its own"),
        ("sabl/sabl-faster-rcnn_r50_fpn_1x_coco", {}, "SABLHead has steps of its own"),
        ("groie/faste-rcnn_r50_fpn_groie_1x_coco", {}, "GenericRoIExtractor has steps of its own"),
        (
            FAMILIES[0],
            {"test_cfg.rcnn.nms": dict(type="soft_nms", iou_threshold=0.5)},
            "non-maximum suppression of .*soft_nms",
        ),
        (FAMILIES[0], {"test_cfg.rcnn.nms": None}, "non-maximum suppression of .*none"),
        (FAMILIES[0], {"test_cfg.rpn.max_per_img": -1}, "max_per_img = -1 has steps of its own"),
        (FAMILIES[0], {"rpn_head.bbox_coder.use_box_type": True}, "use_box_type has steps of its own"),
        (FAMILIES[0], {"roi_head.bbox_roi_extractor.roi_layer.pool_mode": "max"}, "RoIAlign by max"),
        (FAMILIES[0], {"rpn_head.bbox_coder.type": "LegacyDeltaXYWHBBoxCoder"}, "LegacyDeltaXYWHBBoxCoder has steps"),
        (FAMILIES[0], {"test_cfg.rpn.nms.class_agnostic": True}, "non-maximum suppression of .*class_agnostic"),
        (FAMILIES[0], {"roi_head.bbox_head.loss_cls": dict(type="SeesawLoss", num_classes=3)}, "with SeesawLoss"),
    ],
)
def test_steps_that_it_does_not_know_are_refused(name, settings, complaint):
    cfg = families.family(name)
    cfg.merge_from_dict({f"model.{key}": value for key, value in settings.items()})
    with pytest.raises(UsageError, match=complaint):
        TraceableDetector(tiny.build(cfg.model))
