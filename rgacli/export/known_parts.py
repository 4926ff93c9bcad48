"""Which detectors are made of parts whose inference `traceable` repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.ops import RoIAlign
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import CascadeRCNN, FasterRCNN, MaskRCNN, TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import nn

from rgacli.errors import UsageError

_DETECTORS = (FasterRCNN, CascadeRCNN, MaskRCNN, TwoStageDetector)
_INFERENCE = ("_predict_by_feat_single", "regress_by_class")
"""BBoxHead's methods that are repeated."""

_NMS_KEYS = {"type", "iou_threshold", "split_thr"}  # split_thr: only how mmcv goes about it


def by_stage(modules: nn.Module) -> Sequence[nn.Module]:
    """Return a cascade's modules, one for each stage; any other RoI head has the one."""
    return list(modules) if isinstance(modules, nn.ModuleList) else [modules]


def has_known_masks(roi_head: nn.Module) -> bool:
    """Return whether there is a mask head, and it and its RoI extractor are of the kind that is repeated."""
    return roi_head.with_mask and all(
        type(head) is FCNMaskHead and type(extractor) is SingleRoIExtractor and not _unknown_pooling(extractor)
        for head, extractor in zip(by_stage(roi_head.mask_head), by_stage(roi_head.mask_roi_extractor), strict=True)
    )


def require_known_parts(model: nn.Module) -> None:
    """Look at all parts but the mask head.

    Raises:
        UsageError: one of them has steps of its own.
    """
    if type(model) not in _DETECTORS:
        raise UsageError(
            f"{type(model).__name__}: ONNX files are made of {', '.join(kind.__name__ for kind in _DETECTORS)} alone."
        )
    rpn, roi_head = model.rpn_head, model.roi_head
    _require(rpn, RPNHead)
    _require(model.data_preprocessor, DetDataPreprocessor)
    _require(roi_head, StandardRoIHead, CascadeRoIHead)
    for extractor in by_stage(roi_head.bbox_roi_extractor):
        _require(extractor, SingleRoIExtractor)
        if pooling := _unknown_pooling(extractor):
            raise _refused(pooling)
    heads = by_stage(roi_head.bbox_head)
    for head in heads:
        if any(getattr(type(head), step) is not getattr(BBoxHead, step) for step in _INFERENCE):
            raise _refused(type(head).__name__)
        if head.custom_cls_channels or head.custom_activation or not (head.with_cls and head.with_reg):
            raise _refused(f"{type(head).__name__} with {type(head.loss_cls).__name__}")
    for coder in (rpn.bbox_coder, *(head.bbox_coder for head in heads)):
        _require(coder, DeltaXYWHBBoxCoder)
        if coder.use_box_type or getattr(rpn.prior_generator, "use_box_type", False):
            raise _refused("use_box_type")
    if rpn.test_cfg.max_per_img <= 0:
        raise _refused(f"test_cfg.rpn.max_per_img = {rpn.test_cfg.max_per_img}")
    for cfg in (rpn.test_cfg, roi_head.test_cfg):
        nms = dict(cfg.get("nms") or {"type": "none"})
        if nms.get("type", "nms") != "nms" or set(nms) - _NMS_KEYS:
            raise _refused(f"non-maximum suppression of {nms}")


def _unknown_pooling(extractor: SingleRoIExtractor) -> str | None:
    """Return what crops RoI features otherwise than by RoIAlign's mean, if anything does."""
    for layer in extractor.roi_layers:
        if type(layer) is not RoIAlign:
            return type(layer).__name__
        if layer.pool_mode != "avg":
            return f"RoIAlign by {layer.pool_mode}"
    return None


def _require(part: Any, *kinds: type) -> None:
    """Refuse subclasses as well: what they do otherwise would be left out."""
    if type(part) not in kinds:
        raise _refused(type(part).__name__)


def _refused(what: str) -> UsageError:
    return UsageError(f"{what} has steps of its own that an ONNX file is not made with; mmdeploy may know them.")
