"""One forward pass through a RoI head's stages yields every variant: each head by itself, and each combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.layers import multiclass_nms
from mmdet.models.utils import empty_instances
from mmdet.structures.bbox import bbox2roi, get_box_tensor
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from rgacli.modeling.batched.boxes import as_rois
from rgacli.modeling.batched.detections import VariantOutput, detections
from rgacli.modeling.batched.proposals import Proposals
from rgacli.modeling.batched.support import can_detect
from rgacli.modeling.ensembling import Combination

HeadOutput = tuple[Tensor, Any]
"""Class logits (N, C+1) and box regression, (N, 4·C) or (N, 4) or whatever the bbox head's class makes of it."""


@dataclass(frozen=True)
class Stage:
    """The R-CNN modules of one stage; a RoI head that is no cascade has one stage.

    Args:
        heads: The K heads.
        outputs: RoIs (N, 5) and the indices of the heads that are needed -> their outputs by index.
    """

    heads: Sequence[nn.Module]
    outputs: Callable[[Tensor, Sequence[int]], dict[int, HeadOutput]]


def detect_variants(
    stages: Sequence[Stage],
    variants: Mapping[str, Combination],
    proposals: InstanceList,
    metas: list[dict],
    rcnn_test_cfg: ConfigType,
    rescale: bool,
) -> dict[str, InstanceList]:
    """Return boxes of every variant; variants that look at the same boxes share RoI features and heads' outputs.

    Args:
        stages: Of the RoI head.
        variants: Name -> how it comes from the heads.
        proposals: Per image, `bboxes` (P, 4) xyxy in the input image's pixels.
        metas: mmdet's, per image.
        rcnn_test_cfg: mmdet's `test_cfg.rcnn`.
        rescale: Whether boxes are wanted in the original image's pixels.

    Returns:
        Variant -> per image `bboxes` (D, 4) xyxy, `scores` (D,) and `labels` (D,).
    """
    if isinstance(proposals, Proposals) and can_detect(stages[-1].heads, rcnn_test_cfg):
        counts = [proposals.boxes.size(1)] * len(proposals)
        found = through_stages(stages, variants, as_rois(proposals.boxes), counts, metas)
        return detections(stages[-1].heads, found, proposals.valid, metas, rcnn_test_cfg, rescale)
    boxes = [result.bboxes for result in proposals]
    rois, counts = bbox2roi(boxes), [len(own) for own in boxes]
    if not len(rois):
        head = stages[-1].heads[0]
        return {variant: _no_detections(head, metas, rcnn_test_cfg, rois.device) for variant in variants}
    found = {}
    for variant, output in through_stages(stages, variants, rois, counts, metas).items():
        merging = len(output.bbox_preds) > 1
        by_head = [
            stages[-1]
            .heads[k]
            .predict_by_feat(
                rois=output.rois.split(counts),
                cls_scores=output.logits.split(counts),
                bbox_preds=split_by_image(stages[-1].heads[k], bbox_pred, counts),
                batch_img_metas=metas,
                rcnn_test_cfg=None if merging else rcnn_test_cfg,  # None: every box, before NMS
                rescale=rescale,
            )
            for k, bbox_pred in output.bbox_preds.items()
        ]
        images = zip(*by_head, strict=True)
        found[variant] = [_merged(same, rcnn_test_cfg) for same in images] if merging else by_head[0]
    return found


def through_stages(
    stages: Sequence[Stage],
    variants: Mapping[str, Combination],
    rois: Tensor,
    counts: Sequence[int],
    metas: list[dict],
) -> dict[str, VariantOutput]:
    """Take each variant's boxes through the stages by its own logits and box heads.

    Args:
        stages, variants, metas: As for `detect_variants`.
        rois: (N, 5), the proposals.
        counts: How many of them each image has.
    """
    boxes = dict.fromkeys(variants, rois)
    logits: dict[str, list[Tensor]] = {variant: [] for variant in variants}
    for stage in stages:
        outputs = _by_variant(stage, variants, boxes)
        for variant, combined in variants.items():
            logits[variant].append(combined.merge(torch.stack([outputs[variant][k][0] for k in combined.heads])))
        if stage is not stages[-1]:
            boxes = _refined(stage, variants, boxes, logits, outputs, counts, metas)
    return {
        variant: VariantOutput(
            boxes[variant],
            logits[variant][0] if len(stages) == 1 else sum(logits[variant]) / float(len(stages)),
            {k: outputs[variant][k][1] for k in combined.box_heads},
        )
        for variant, combined in variants.items()
    }


def _by_variant(
    stage: Stage, variants: Mapping[str, Combination], boxes: Mapping[str, Tensor]
) -> dict[str, dict[int, HeadOutput]]:
    """Return variant -> the outputs of the heads that it needs, on its own boxes."""
    sharing: dict[int, list[str]] = {}
    for variant, rois in boxes.items():
        sharing.setdefault(id(rois), []).append(variant)
    outputs = {}
    for group in sharing.values():
        needed = {k for variant in group for k in (*variants[variant].heads, *variants[variant].box_heads)}
        outputs |= dict.fromkeys(group, stage.outputs(boxes[group[0]], sorted(needed)))
    return outputs


def _refined(
    stage: Stage,
    variants: Mapping[str, Combination],
    boxes: Mapping[str, Tensor],
    logits: Mapping[str, list[Tensor]],
    outputs: Mapping[str, dict[int, HeadOutput]],
    counts: Sequence[int],
    metas: list[dict],
) -> dict[str, Tensor]:
    """Return the boxes that each variant takes to the next stage: one tensor where they are the same."""
    refined: dict[tuple, Tensor] = {}
    keys = {}
    for variant, rois in boxes.items():
        heads = {k: stage.heads[k] for k in variants[variant].box_heads}
        # A class-agnostic regressor does not ask which class the logits say.
        agnostic = all(head.reg_class_agnostic for head in heads.values())
        keys[variant] = (id(rois), tuple(heads), None if agnostic else variant)
        if keys[variant] not in refined:
            by_head = [
                _regress(head, rois, logits[variant][-1], outputs[variant][k][1], counts, metas)
                for k, head in heads.items()
            ]
            refined[keys[variant]] = by_head[0] if len(by_head) == 1 else torch.stack(by_head).mean(dim=0)
    return {variant: refined[key] for variant, key in keys.items()}


def _regress(
    head: nn.Module, rois: Tensor, cls_score: Tensor, bbox_pred: Any, counts: Sequence[int], metas: list[dict]
) -> Tensor:
    """Return boxes (N, 5) as the head refines them: where it regresses by class, of the class that the logits say."""
    labels = class_scores(head, cls_score)[:, :-1].argmax(dim=1)
    images = zip(rois.split(counts), labels.split(counts), split_by_image(head, bbox_pred, counts), metas, strict=True)
    boxes = [
        torch.cat([own[:, :1], get_box_tensor(head.regress_by_class(own[:, 1:], label, deltas, meta))], dim=1)
        for own, label, deltas, meta in images
    ]
    return torch.cat(boxes)


def _merged(by_head: Sequence[InstanceData], rcnn_test_cfg: ConfigType) -> InstanceData:
    """Return detections by the mean of several heads' boxes (P, 4) or (P, 4·C), whose scores are the same."""
    boxes = torch.stack([raw.bboxes for raw in by_head]).mean(dim=0)
    found, labels = multiclass_nms(
        boxes, by_head[0].scores, rcnn_test_cfg.score_thr, rcnn_test_cfg.nms, rcnn_test_cfg.max_per_img
    )
    return InstanceData(bboxes=found[:, :-1], scores=found[:, -1], labels=labels)


def split_by_image(head: nn.Module, bbox_pred: Any, counts: Sequence[int]) -> Sequence[Any]:
    """Return a head's box regression, per image: a tensor's rows, or what the head's class has in its place."""
    if bbox_pred is None:  # a head that only classifies
        return (None,) * len(counts)
    return bbox_pred.split(counts) if isinstance(bbox_pred, Tensor) else head.bbox_pred_split(bbox_pred, counts)


def class_scores(head: nn.Module, cls_score: Tensor) -> Tensor:
    """Return (N, C+1), background last, in the order of their probabilities: a classifier's logits as they are.

    But for one whose loss has an activation and channels of its own (Seesaw loss: (N, C+2)), its probabilities.
    """
    return head.loss_cls.get_activation(cls_score) if head.custom_activation else cls_score


def _no_detections(head: nn.Module, metas: list[dict], rcnn_test_cfg: ConfigType, device: torch.device) -> InstanceList:
    """Return what images without any proposal yield, as mmdet's own RoI heads have it."""
    return empty_instances(
        metas,
        device,
        task_type="bbox",
        box_type=head.predict_box_type,
        num_classes=head.num_classes,
        score_per_cls=rcnn_test_cfg is None,
    )
