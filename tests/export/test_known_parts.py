import pytest
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead

from rgacli.errors import UsageError
from rgacli.export.known_parts import has_known_masks, require_known_parts
from tests.support import families, tiny
from tests.support.tracing import FAMILIES, MASKS, scrambled


def test_a_head_that_regresses_in_its_own_way_is_refused():
    class Own(Shared2FCBBoxHead):
        def regress_by_class(self, *args, **kwargs):
            return super().regress_by_class(*args, **kwargs) + 1

    model = scrambled(families.family(FAMILIES[0]))
    model.roi_head.bbox_head.__class__ = Own
    with pytest.raises(UsageError, match="Own has steps of its own"):
        require_known_parts(model)


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
        require_known_parts(tiny.build(cfg.model))


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_known_of_mmdets_own_head_alone(name):
    class Own(FCNMaskHead):
        pass

    roi_head = tiny.build(families.family(name).model).roi_head
    assert has_known_masks(roi_head)
    heads = roi_head.mask_head if "cascade" in name else [roi_head.mask_head]
    heads[-1].__class__ = Own
    assert not has_known_masks(roi_head)


def test_masks_whose_features_are_cropped_otherwise_are_unknown():
    cfg = families.family(MASKS[0])
    cfg.model.roi_head.mask_roi_extractor.roi_layer.pool_mode = "max"
    model = tiny.build(cfg.model)
    assert not has_known_masks(model.roi_head)
    require_known_parts(model)
