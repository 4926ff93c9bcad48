"""Batch normalisation as part of the convolutions before it, for a detector that no longer learns."""

from __future__ import annotations

from mmcv.cnn import fuse_conv_bn
from mmdet.models.backbones import ResNet
from torch import nn


def fuse(model: nn.Module) -> nn.Module:
    """Fold a ResNet's norm layers into its convolutions, in place: the same features to rounding, by a third fewer ops.

    Other backbones stay as they are: mmcv takes a norm layer to come after the convolution that is defined before it,
    which is known of ResNet and its kin (ResNeXt, ResNet-D) alone.
    """
    if isinstance(backbone := getattr(model, "backbone", None), ResNet) and not backbone.training:
        fuse_conv_bn(backbone)
    return model
