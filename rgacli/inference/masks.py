"""Masks as a mask head gives them, put into their image."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData


def paste_masks(probabilities: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float) -> np.ndarray:
    """Return masks (D, H, W) bool, as mmdet's FCNMaskHead pastes them.

    Args:
        probabilities: (D, h, w), of a grid that fills the box.
        boxes: (D, 4) xyxy in the image's pixels.
        size: Height and width of the image.
        threshold: The probability from which on a pixel belongs to the mask.
    """
    found = InstanceData(bboxes=torch.tensor(boxes), labels=torch.zeros(len(boxes), dtype=torch.long))
    (pasted,) = _head().predict_by_feat(
        (probabilities[:, None],),
        [found],
        [dict(ori_shape=size, scale_factor=(1.0, 1.0))],
        ConfigDict(mask_thr_binary=threshold),
        rescale=True,
        activate_map=True,  # they are probabilities already
    )
    return pasted.masks.numpy()


@cache
def _head() -> FCNMaskHead:
    """Return a mask head without layers: what it has learned is in the probabilities."""
    return FCNMaskHead(num_convs=0, upsample_cfg=dict(type=None), class_agnostic=True)
