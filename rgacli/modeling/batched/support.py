"""Which detectors' parts can go through a batch at once: those of mmdet's that this package knows to the letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmdet.models.losses import CrossEntropyLoss, L1Loss, SmoothL1Loss
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.task_modules import AnchorGenerator, BboxOverlaps2D, DeltaXYWHBBoxCoder, MaxIoUAssigner, RandomSampler
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rgacli.modeling.sampling import NestedRandomSampler

# What of a bbox head is done here in its stead: a subclass with another one goes mmdet's way.
_IN_ITS_STEAD = ("loss", "loss_and_target", "get_targets", "_get_targets_single")
_PREDICTING = ("predict_by_feat", "_predict_by_feat_single")


def can_propose(rpn_head: nn.Module, cfg: ConfigType) -> bool:
    """Return whether `rpn.propose` stands for this RPN; `cfg` is what it proposes by."""
    return (
        type(rpn_head) is RPNHead
        and rpn_head.use_sigmoid_cls
        and rpn_head.cls_out_channels == 1
        and type(rpn_head.prior_generator) is AnchorGenerator
        and _is_plain_coder(rpn_head.bbox_coder)
        and _is_plain_nms(cfg.nms)
        and cfg.max_per_img > 0
    )


def can_train_rpn(rpn_head: nn.Module, cfg: ConfigType, samples: SampleList) -> bool:
    """Return whether `rpn.loss_and_proposals` stands for this RPN on these images."""
    return (
        can_propose(rpn_head, cfg)
        and _is_plain_assigner(rpn_head.assigner, samples)
        and type(rpn_head.sampler) is RandomSampler
        and rpn_head.sampler.neg_pos_ub < 0
        and not rpn_head.sampler.add_gt_as_proposals
        and type(rpn_head.loss_cls) is CrossEntropyLoss
        and _is_plain_box_loss(rpn_head)
    )


def can_train_heads(roi_head: nn.Module, samples: SampleList) -> bool:
    """Return whether `batched_loss` stands for the `loss` of this RoI head on these images."""
    if not hasattr(roi_head, "batched_loss") or roi_head.with_mask or _counts_padding(roi_head):
        return False
    heads, samplers = list(roi_head.bbox_head), roi_head.bbox_samplers
    return (
        all(_is_plain_head(head, _IN_ITS_STEAD) and _is_plain_box_loss(head) for head in heads)
        and all(type(head.loss_cls) is CrossEntropyLoss and not head.loss_cls.use_sigmoid for head in heads)
        and _are_alike(heads)
        and _is_plain_assigner(roi_head.bbox_assigner, samples)
        and all(type(sampler) in (RandomSampler, NestedRandomSampler) for sampler in samplers)
        and samplers[0].neg_pos_ub < 0
    )


def can_detect(heads: Sequence[nn.Module], cfg: ConfigType | None) -> bool:
    """Return whether `detections` stands for these heads' `predict_by_feat`; `cfg` is mmdet's `test_cfg.rcnn`."""
    return (
        cfg is not None
        and all(_is_plain_head(head, _PREDICTING) for head in heads)
        and len({head.num_classes for head in heads}) == 1
        and _is_plain_nms(cfg.nms)
    )


def _counts_padding(roi_head: nn.Module) -> bool:
    """Return whether a layer takes statistics of all RoIs together, of which padding is to have no part."""
    return any(isinstance(layer, _BatchNorm) and layer.training for layer in roi_head.modules())


def _is_plain_head(head: nn.Module, methods: Sequence[str]) -> bool:
    return (
        isinstance(head, BBoxHead)
        and all(getattr(type(head), name) is getattr(BBoxHead, name) for name in methods)
        and head.with_cls
        and head.with_reg
        and not head.custom_cls_channels
        and not head.custom_activation
        and _is_plain_coder(head.bbox_coder)
    )


def _is_plain_box_loss(head: nn.Module) -> bool:
    return not head.reg_decoded_bbox and type(head.loss_bbox) in (L1Loss, SmoothL1Loss)


def _is_plain_coder(coder: Any) -> bool:
    return type(coder) is DeltaXYWHBBoxCoder and not (coder.use_box_type or coder.add_ctr_clamp)


def _is_plain_assigner(assigner: Any, samples: SampleList) -> bool:
    return (
        type(assigner) is MaxIoUAssigner
        and isinstance(assigner.neg_iou_thr, float)
        and assigner.min_pos_iou >= 0
        and (assigner.gt_max_assign_all or not assigner.match_low_quality)
        and assigner.gpu_assign_thr <= 0
        and assigner.perm_repeat_gt_cfg is None
        and type(assigner.iou_calculator) is BboxOverlaps2D
        and assigner.iou_calculator.dtype is None
        and not (assigner.ignore_iof_thr > 0 and any(_ignored(sample) for sample in samples))
    )


def _ignored(sample: Any) -> int:
    return len(sample.ignored_instances.bboxes) if "ignored_instances" in sample else 0


def _is_plain_nms(nms: Mapping[str, Any]) -> bool:
    return nms.get("type", "nms") == "nms" and set(nms) <= {"type", "iou_threshold", "split_thr"}


def _are_alike(heads: Sequence[nn.Module]) -> bool:
    """Return whether the heads' losses and coders have the same settings."""
    settings = [
        [
            {name: value for name, value in vars(part).items() if not name.startswith("_")}
            for part in (head.loss_cls, head.loss_bbox, head.bbox_coder)
        ]
        for head in heads
    ]
    return all(own == settings[0] for own in settings) and len({type(head) for head in heads}) == 1
