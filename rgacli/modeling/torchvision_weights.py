"""Weights of torchvision's Faster and Mask R-CNN with ResNet and FPN, by the names of mmdet's layers.

The same layers stand in both; what differs is their order: torchvision's background is class 0, mmdet's the last, and
torchvision's regressor has a background, too. It crops RoIs by an older rule (`ROI_LAYER`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from rgacli.errors import UsageError

ROI_LAYER = {"sampling_ratio": 2, "aligned": False}
"""How torchvision's detectors align RoIs, as settings of mmdet's RoIAlign."""

_ANYWHERE = "roi_heads."
_NAMES = (
    (r"backbone\.body\.(.+)", r"backbone.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"neck.lateral_convs.\1.conv.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"neck.fpn_convs.\1.conv.\2"),
    (r"rpn\.head\.conv\.(?:0\.0\.)?(weight|bias)", r"rpn_head.rpn_conv.\1"),
    (r"rpn\.head\.cls_logits\.(.+)", r"rpn_head.rpn_cls.\1"),
    (r"rpn\.head\.bbox_pred\.(.+)", r"rpn_head.rpn_reg.\1"),
    (r"roi_heads\.box_head\.fc6\.(.+)", r"roi_head.bbox_head.shared_fcs.0.\1"),
    (r"roi_heads\.box_head\.fc7\.(.+)", r"roi_head.bbox_head.shared_fcs.1.\1"),
    (r"roi_heads\.box_predictor\.cls_score\.(.+)", r"roi_head.bbox_head.fc_cls.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(.+)", r"roi_head.bbox_head.fc_reg.\1"),
    (r"roi_heads\.mask_head\.(\d)\.0\.(.+)", r"roi_head.mask_head.convs.\1.conv.\2"),
    (r"roi_heads\.mask_head\.mask_fcn(\d)\.(.+)", lambda m: f"roi_head.mask_head.convs.{int(m[1]) - 1}.conv.{m[2]}"),
    (r"roi_heads\.mask_predictor\.conv5_mask\.(.+)", r"roi_head.mask_head.upsample.\1"),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.(.+)", r"roi_head.mask_head.conv_logits.\1"),
)


def is_torchvision(weights: Mapping[str, Tensor]) -> bool:
    """Return whether these are weights of a two-stage detector of torchvision's."""
    return any(name.startswith(_ANYWHERE) for name in weights)


def from_torchvision(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights as mmdet's detector of the same kind has them.

    Raises:
        UsageError: there are layers that mmdet's detector has not, such as the convolutions of the "v2" box head.
    """
    renamed = {}
    for name, value in weights.items():
        for pattern, replacement in _NAMES:
            if match := re.fullmatch(pattern, name):
                renamed[match.expand(replacement) if isinstance(replacement, str) else replacement(match)] = value
                break
        else:
            raise UsageError(
                f"weights of torchvision have a layer {name}, which mmdet's Faster R-CNN has not: take those of "
                "fasterrcnn_resnet50_fpn or maskrcnn_resnet50_fpn (not v2)."
            )
    for name, value in renamed.items():
        if ".fc_cls." in name:
            renamed[name] = torch.cat([value[1:], value[:1]])
        elif ".fc_reg." in name:
            renamed[name] = value[4:]
        elif ".conv_logits." in name:
            renamed[name] = value[1:]
    return renamed


def torchvision_classes(weights: Mapping[str, Tensor]) -> tuple[str, ...] | None:
    """Return the class names, by mmdet's label, of `from_torchvision`'s weights: COCO's, where they are as many.

    torchvision's files name none; its own are of COCO's 91 category ids, 11 of which ("N/A") were never used.
    """
    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:]
    return tuple(names) if len(weights["roi_head.bbox_head.fc_cls.bias"]) == len(names) + 1 else None
