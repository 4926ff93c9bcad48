"""A two-stage detector's inference as one graph of tensor operations, from the pixels of an image to detections.

mmdet's own inference asks in Python what its tensors hold (how many boxes? any at this pyramid level?), and a trace
would keep the answers of the image that it was made with. Here the same layers and the same steps follow each other
without a question, so that a trace holds for images of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from mmcv.ops import RoIAlign
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import CascadeRCNN, FasterRCNN, MaskRCNN, TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor, nn
from torch.nn import functional as F

from rgacli.errors import UsageError

_DETECTORS = (FasterRCNN, CascadeRCNN, MaskRCNN, TwoStageDetector)
_INFERENCE = ("_predict_by_feat_single", "regress_by_class")
"""BBoxHead's methods that are repeated here."""

_NMS_KEYS = {"type", "iou_threshold", "split_thr"}  # split_thr: only how mmcv goes about it


class TraceableDetector(nn.Module):
    """Faster or Cascade R-CNN of mmdet's own classes, without masks.

    Args:
        model: The detector, in eval mode. Its RoIAlign layers are set to torchvision's op, which can be exported.

    Raises:
        UsageError: a part of it has steps of its own, which are not repeated here.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        _require_known_parts(model)
        self.model = model
        roi_head = model.roi_head
        self.heads = _stages(roi_head.bbox_head)
        self.extractors = _stages(roi_head.bbox_roi_extractor)
        for layer in roi_head.modules():
            if isinstance(layer, RoIAlign):
                layer.use_torchvision = True

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect on one image.

        Args:
            image: (1, 3, H, W) float32 in [0, 255], BGR, already resized; normalisation and padding happen here.

        Returns:
            Boxes (D, 4) xyxy in the image's pixels, scores (D,) in falling order, and labels (D,).
        """
        height, width = image.shape[-2:]
        features = self.features(image)
        boxes, logits = self._proposals(features, height, width), []
        for head, extractor in zip(self.heads, self.extractors, strict=True):
            cls_score, bbox_pred = head(self._crop(extractor, features, boxes))
            logits.append(cls_score)
            last = head is self.heads[-1]
            boxes = (_by_class if last else _refined)(head, boxes, cls_score, bbox_pred, height, width)
        scores = (sum(logits) / float(len(logits))).softmax(dim=1)[:, :-1]
        cfg = self.model.roi_head.test_cfg
        rows, labels = torch.where(scores > cfg.score_thr)
        boxes, scores = boxes[rows, labels], scores[rows, labels]
        kept = _nms(boxes, scores, labels, cfg)
        return boxes[kept], scores[kept], labels[kept]

    def features(self, image: Tensor) -> Sequence[Tensor]:
        """Return the neck's feature maps of an image, as for `forward`."""
        return self.model.extract_feat(self._normalised(image))

    def _normalised(self, image: Tensor) -> Tensor:
        """Normalise and pad one image, as DetDataPreprocessor.forward does."""
        preprocessor = self.model.data_preprocessor
        if preprocessor._channel_conversion:
            image = image.flip(1)
        if preprocessor._enable_normalize:
            image = (image - preprocessor.mean) / preprocessor.std
        divisor = preprocessor.pad_size_divisor
        below, right = ((divisor - size % divisor) % divisor for size in image.shape[-2:])
        return F.pad(image, (0, right, 0, below), value=preprocessor.pad_value)

    def _proposals(self, features: Sequence[Tensor], height: int, width: int) -> Tensor:
        """Return proposals (P, 4), as RPNHead.predict_by_feat does."""
        rpn = self.model.rpn_head
        cfg = rpn.test_cfg
        cls_scores, bbox_preds = rpn(features)
        priors = rpn.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in cls_scores], dtype=features[0].dtype, device=features[0].device
        )
        chosen: dict[str, list[Tensor]] = {"scores": [], "deltas": [], "priors": [], "levels": []}
        for level, (cls_score, bbox_pred, anchors) in enumerate(zip(cls_scores, bbox_preds, priors, strict=True)):
            logits = cls_score[0].permute(1, 2, 0).reshape(-1, rpn.cls_out_channels)
            scores = logits.sigmoid() if rpn.use_sigmoid_cls else logits.softmax(dim=1)
            limit = cfg.nms_pre if cfg.get("nms_pre", -1) > 0 else None
            ranked, order = scores[:, 0].sort(descending=True)
            best = order[:limit]
            chosen["scores"].append(ranked[:limit])
            chosen["deltas"].append(bbox_pred[0].permute(1, 2, 0).reshape(-1, 4)[best])
            chosen["priors"].append(anchors[best])
            chosen["levels"].append(torch.full_like(best, level))
        scores, deltas, priors, levels = (torch.cat(parts) for parts in chosen.values())
        boxes = _decode(rpn.bbox_coder, priors, deltas, height, width)
        if cfg.get("min_bbox_size", -1) >= 0:
            sides = boxes[:, 2:] - boxes[:, :2]
            large = torch.where((sides > cfg.min_bbox_size).all(dim=1))[0]
            boxes, scores, levels = boxes[large], scores[large], levels[large]
        return boxes[_nms(boxes, scores, levels, cfg)]

    def _crop(self, extractor: nn.Module, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Return RoI features (P, C, h, w), each box's from its own level, as SingleRoIExtractor.forward does."""
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
        levels = extractor.map_roi_levels(rois, extractor.num_inputs)
        rows, cropped = [], []
        for level, layer in enumerate(extractor.roi_layers):
            rows.append(torch.where(levels == level)[0])
            cropped.append(layer(features[level], rois[rows[-1]]))
        cropped = torch.cat(cropped)[torch.cat(rows).argsort()]
        roi_head = self.model.roi_head
        return roi_head.shared_head(cropped) if roi_head.with_shared_head else cropped


def _refined(head: nn.Module, boxes: Tensor, cls_score: Tensor, bbox_pred: Tensor, height: int, width: int) -> Tensor:
    """Return boxes (P, 4), by class of the most probable one, as BBoxHead.regress_by_class does."""
    if not head.reg_class_agnostic:
        label = cls_score[:, :-1].argmax(dim=1)
        bbox_pred = bbox_pred.reshape(-1, head.num_classes, 4)
        bbox_pred = bbox_pred.gather(1, label[:, None, None].expand(-1, 1, 4)).squeeze(1)
    return _decode(head.bbox_coder, boxes, bbox_pred, height, width)


def _by_class(head: nn.Module, boxes: Tensor, cls_score: Tensor, bbox_pred: Tensor, height: int, width: int) -> Tensor:
    """Return boxes (P, C, 4), as BBoxHead.predict_by_feat does: where the head is class-agnostic, the same for all."""
    regressed = 1 if head.reg_class_agnostic else head.num_classes
    repeated = boxes.repeat_interleave(regressed, dim=0)
    decoded = _decode(head.bbox_coder, repeated, bbox_pred.reshape(-1, 4), height, width)
    return decoded.reshape(-1, regressed, 4).expand(-1, head.num_classes, 4)


def _stages(modules: nn.Module) -> Sequence[nn.Module]:
    """Return a cascade's modules, one for each stage; any other RoI head has the one."""
    return list(modules) if isinstance(modules, nn.ModuleList) else [modules]


def _decode(coder: Any, boxes: Tensor, deltas: Tensor, height: int, width: int) -> Tensor:
    """Return boxes (N, 4) moved by their deltas (N, 4) and cut off at the image's borders."""
    x1, y1, x2, y2 = coder.decode(boxes, deltas, max_shape=None).unbind(dim=1)
    if coder.clip_border:
        x1, x2 = (x.clamp(min=0).clamp(max=width) for x in (x1, x2))
        y1, y2 = (y.clamp(min=0).clamp(max=height) for y in (y1, y2))
    return torch.stack([x1, y1, x2, y2], dim=1)


def _nms(boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any) -> Tensor:
    """Return rows that NMS within each group keeps, by falling score; groups are moved apart, as in batched_nms."""
    span = F.pad(boxes.flatten(), (0, 1)).max() + 1  # of boxes that are there or not
    kept = torchvision.ops.nms(boxes + (groups * span)[:, None], scores, cfg.nms.iou_threshold)
    return kept[: cfg.max_per_img] if cfg.max_per_img > 0 else kept


def _require_known_parts(model: nn.Module) -> None:
    if type(model) not in _DETECTORS:
        raise UsageError(
            f"{type(model).__name__}: ONNX files are made of {', '.join(kind.__name__ for kind in _DETECTORS)} alone."
        )
    rpn, roi_head = model.rpn_head, model.roi_head
    _require(rpn, RPNHead)
    _require(model.data_preprocessor, DetDataPreprocessor)
    _require(roi_head, StandardRoIHead, CascadeRoIHead)
    for extractor in _stages(roi_head.bbox_roi_extractor):
        _require(extractor, SingleRoIExtractor)
        for layer in extractor.roi_layers:
            _require(layer, RoIAlign)
            if layer.pool_mode != "avg":
                raise _refused(f"RoIAlign by {layer.pool_mode}")
    heads = _stages(roi_head.bbox_head)
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


def _require(part: Any, *kinds: type) -> None:
    """Refuse subclasses as well: what they do otherwise would be left out."""
    if type(part) not in kinds:
        raise _refused(type(part).__name__)


def _refused(what: str) -> UsageError:
    return UsageError(f"{what} has steps of its own that an ONNX file is not made with; mmdeploy may know them.")
