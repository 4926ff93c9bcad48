"""A two-stage detector's inference as one graph of tensor operations, from a batch's pixels to its detections.

mmdet's own inference asks in Python what its tensors hold (how many boxes? any at this pyramid level?), and a trace
would keep the answers of the images that it was made with. Here the same layers and the same steps follow each other
without a question, so that a trace holds for any number of images of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.ops import RoIAlign
from torch import Tensor, nn
from torch.nn import functional as F

from rgacli.export.known_parts import by_stage, has_known_masks, require_known_parts
from rgacli.export.suppression import GONE, best, moved_apart, nms, put

_FILLING = -1
"""The label of rows beyond an image's detections."""


class TraceableDetector(nn.Module):
    """Faster, Cascade or Mask R-CNN of mmdet's own classes.

    Args:
        model: The detector, in eval mode. Its RoIAlign layers are set to torchvision's op, which can be exported.

    Attributes:
        masks: Whether it makes masks. It leaves out a mask head of another kind than mmdet's FCNMaskHead.

    Raises:
        UsageError: a part of it has steps of its own, which are not repeated here.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        require_known_parts(model)
        self.model = model
        self.masks = has_known_masks(model.roi_head)
        for layer in model.roi_head.modules():
            if isinstance(layer, RoIAlign):
                layer.use_torchvision = True

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Detect on a batch of N images.

        Args:
            images: (N, 3, H, W) float32 in [0, 255], BGR, already resized; normalisation and padding happen here.
            sizes: (N, 2) int64, height and width of each image, which lies at the upper left of its (H, W). What lies
                outside does not count.

        Returns:
            The number of detections (N,). K rows for each image: boxes (N, K, 4) xyxy in its pixels, scores (N, K) in
            falling order, labels (N, K); after its last detection they are 0, 0 and -1. K is `max_per_img` of the
            test config; where that sets no limit, the most that an image of the batch has. With `masks`, also their
            probabilities (N, K, h, w), in each box.
        """
        borders = sizes.flip(1).repeat(1, 2).float()
        features = self.features(images, sizes)
        boxes, scores = self._score(features, *self._proposals(features, borders), borders)
        boxes, scores, labels = self._suppress(boxes, scores)
        found = scores > GONE
        detections = (
            found.sum(dim=1),
            boxes * found[..., None],
            scores.clamp(min=0),
            torch.where(found, labels, _FILLING),
        )
        return (*detections, self._masks_of(features, boxes, labels, found)) if self.masks else detections

    def features(self, images: Tensor, sizes: Tensor) -> Sequence[Tensor]:
        """Return the neck's feature maps of images, as for `forward`."""
        return self.model.extract_feat(self._normalised(images, sizes))

    def _normalised(self, images: Tensor, sizes: Tensor) -> Tensor:
        """Normalise and pad images, as DetDataPreprocessor.forward does."""
        preprocessor = self.model.data_preprocessor
        if preprocessor._channel_conversion:
            images = images.flip(1)
        if preprocessor._enable_normalize:
            images = (images - preprocessor.mean) / preprocessor.std
        height, width = images.shape[-2:]
        rows, columns = torch.arange(height)[None, :, None], torch.arange(width)[None, None]
        inside = (rows < sizes[:, :1, None]) & (columns < sizes[:, 1:, None])
        images = torch.where(inside[:, None], images, float(preprocessor.pad_value))
        divisor = preprocessor.pad_size_divisor
        below, right = ((divisor - size % divisor) % divisor for size in (height, width))
        return F.pad(images, (0, right, 0, below), value=preprocessor.pad_value)

    def _proposals(self, features: Sequence[Tensor], borders: Tensor) -> tuple[Tensor, Tensor]:
        """Return proposals (N, P, 4) and their scores (N, P), as RPNHead.predict_by_feat does."""
        rpn = self.model.rpn_head
        cfg = rpn.test_cfg
        cls_scores, bbox_preds = rpn(features)
        priors = rpn.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in cls_scores], dtype=features[0].dtype, device=features[0].device
        )
        chosen: dict[str, list[Tensor]] = {"scores": [], "deltas": [], "priors": [], "levels": []}
        for level, (cls_score, bbox_pred, anchors) in enumerate(zip(cls_scores, bbox_preds, priors, strict=True)):
            logits = _by_anchor(cls_score, rpn.cls_out_channels)
            scores = logits.sigmoid() if rpn.use_sigmoid_cls else logits.softmax(dim=2)
            scores, order = best(scores[..., 0], cfg.nms_pre if cfg.get("nms_pre", -1) > 0 else None)
            chosen["scores"].append(scores)
            chosen["deltas"].append(_rows(_by_anchor(bbox_pred, 4), order))
            chosen["priors"].append(anchors[order])
            chosen["levels"].append(torch.full_like(order, level))
        scores, deltas, priors, levels = (torch.cat(parts, dim=1) for parts in chosen.values())
        boxes = _decode(rpn.bbox_coder, priors, deltas, borders[:, None])
        if cfg.get("min_bbox_size", -1) >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            scores = torch.where((sides > cfg.min_bbox_size).all(dim=2), scores, GONE)
        apart = moved_apart(boxes, scores > GONE, levels)
        scores, order = best(nms(apart, scores, cfg.nms.iou_threshold, GONE, cfg.max_per_img), cfg.max_per_img)
        return _rows(boxes, order), scores

    def _score(
        self, features: Sequence[Tensor], proposals: Tensor, objectness: Tensor, borders: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return boxes (N, P, C, 4) and scores (N, P, C) of the last stage; `GONE` where there is no proposal."""
        roi_head = self.model.roi_head
        heads, extractors = by_stage(roi_head.bbox_head), by_stage(roi_head.bbox_roi_extractor)
        images, places = torch.where(objectness > GONE)
        boxes, borders, logits = proposals[images, places], borders[images], []
        for head, extractor in zip(heads, extractors, strict=True):
            cls_score, bbox_pred = head(self._crop(extractor, features, images, boxes))
            logits.append(cls_score)
            boxes = (_by_class if head is heads[-1] else _refined)(head, boxes, cls_score, bbox_pred, borders)
        scores = (sum(logits) / float(len(logits))).softmax(dim=1)[:, :-1]
        classes = heads[-1].num_classes
        filled = proposals[:, :, None].repeat(1, 1, classes, 1)
        return put(filled, images, places, boxes), put(torch.full_like(filled[..., 0], GONE), images, places, scores)

    def _suppress(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (N, K, 4), scores and labels (N, K) that NMS by class keeps, as multiclass_nms does.

        Args:
            boxes, scores: As of `_score`.
        """
        cfg = self.model.roi_head.test_cfg
        limit = cfg.max_per_img if cfg.max_per_img > 0 else None
        classes = scores.shape[2]
        apart = moved_apart(boxes, scores > cfg.score_thr, torch.arange(classes))
        kept = nms(apart.flatten(1, 2), scores.flatten(1), cfg.nms.iou_threshold, cfg.score_thr, limit)
        scores, order = best(kept, limit)
        if limit is None:
            most = (scores > GONE).sum(dim=1).max()
            scores, order = scores[:, :most], order[:, :most]
        return _rows(boxes.flatten(1, 2), order), scores, order % classes

    def _masks_of(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor, found: Tensor) -> Tensor:
        """Return masks' probabilities (N, K, h, w), 0 where nothing was found, as FCNMaskHead.predict_by_feat does."""
        roi_head = self.model.roi_head
        heads, extractors = by_stage(roi_head.mask_head), by_stage(roi_head.mask_roi_extractor)
        images, places = torch.where(found)
        boxes, labels = boxes[images, places], labels[images, places]
        stages = []
        for head, extractor in zip(heads, extractors, strict=True):
            masks = head(self._crop(extractor, features, images, boxes)).sigmoid()
            own = torch.zeros_like(labels) if head.class_agnostic else labels
            stages.append(masks.gather(1, own[:, None, None, None].expand(-1, 1, *masks.shape[2:]))[:, 0])
        masks = torch.stack(stages).mean(dim=0)
        sides = map(int, masks.shape[1:])  # for a trace to keep: they are the layers', whatever the images are
        filled = torch.zeros_like(found, dtype=masks.dtype)[..., None, None].repeat(1, 1, *sides)
        return put(filled, images, places, masks)

    def _crop(self, extractor: nn.Module, features: Sequence[Tensor], images: Tensor, boxes: Tensor) -> Tensor:
        """Return RoI features (R, C, h, w), each box's from its own level, as SingleRoIExtractor.forward does."""
        rois = torch.cat([images[:, None].to(boxes), boxes], dim=1)
        levels = extractor.map_roi_levels(rois, extractor.num_inputs)
        rows, cropped = [], []
        for level, layer in enumerate(extractor.roi_layers):
            rows.append(torch.where(levels == level)[0])
            cropped.append(layer(features[level], rois[rows[-1]]))
        cropped = torch.cat(cropped)[torch.cat(rows).argsort()]
        roi_head = self.model.roi_head
        return roi_head.shared_head(cropped) if roi_head.with_shared_head else cropped


def _refined(head: nn.Module, boxes: Tensor, cls_score: Tensor, bbox_pred: Tensor, borders: Tensor) -> Tensor:
    """Return boxes (R, 4), by class of the most probable one, as BBoxHead.regress_by_class does."""
    if not head.reg_class_agnostic:
        label = cls_score[:, :-1].argmax(dim=1)
        bbox_pred = bbox_pred.reshape(-1, head.num_classes, 4)
        bbox_pred = bbox_pred.gather(1, label[:, None, None].expand(-1, 1, 4)).squeeze(1)
    return _decode(head.bbox_coder, boxes, bbox_pred, borders)


def _by_class(head: nn.Module, boxes: Tensor, cls_score: Tensor, bbox_pred: Tensor, borders: Tensor) -> Tensor:
    """Return boxes (R, C, 4), as BBoxHead.predict_by_feat does: where the head is class-agnostic, the same for all."""
    regressed = 1 if head.reg_class_agnostic else head.num_classes
    repeated = boxes[:, None].repeat(1, regressed, 1)
    decoded = _decode(head.bbox_coder, repeated, bbox_pred.reshape(-1, regressed, 4), borders[:, None])
    return decoded.expand(-1, head.num_classes, 4)


def _decode(coder: Any, boxes: Tensor, deltas: Tensor, borders: Tensor) -> Tensor:
    """Return boxes (…, 4) moved by their deltas (…, 4) and cut off at their image's borders (…, 4)."""
    decoded = coder.decode(boxes.reshape(-1, 4), deltas.reshape(-1, 4), max_shape=None).reshape(boxes.shape)
    return torch.minimum(decoded.clamp(min=0), borders) if coder.clip_border else decoded


def _by_anchor(maps: Tensor, channels: int) -> Tensor:
    """Return (N, A·H·W, channels) of maps (N, A·channels, H, W)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, channels)


def _rows(values: Tensor, order: Tensor) -> Tensor:
    """Return each image's rows (N, K, 4) of values (N, P, 4) at places (N, K)."""
    return values.gather(1, order[..., None].expand(-1, -1, 4))
