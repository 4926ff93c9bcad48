"""Fixes of what is broken in mmdet 3.3.0 and stands in a user's way here."""

from __future__ import annotations

import warnings

from mmcv.image import geometric
from mmdet.models.dense_heads import SSDHead

_OWN_WARNINGS = (
    "DeprecationWarning: (pos|neg)_bboxes is deprecated",  # SABL, Grid R-CNN, HTC
    "indexing with dtype torch.uint8 is now deprecated",  # mask heads that share the box head's features
    "To copy construct from a tensor",  # masks of a cascade
)
"""Of what mmdet does itself, in each step: no user can change it."""


def install() -> None:
    """Install the fixes; idempotent."""
    for message in _OWN_WARNINGS:
        warnings.filterwarnings("ignore", message, UserWarning)
    # Its prediction asks for `loss_cls`, which SSDHead never sets: no SSD can be evaluated (mmdet issue 11780).
    SSDHead.loss_cls = None
    geometric._scale_size = scale_size


def scale_size(size: tuple[int, int], scale: float | tuple[float, float]) -> tuple[int, int]:
    """Return (width, height) px times a factor, or one for each: mmcv's, but a side keeps a pixel.

    OpenCV refuses images of none: one thin image, such as 2000x1, would end a training or an evaluation.
    """
    by_width, by_height = scale if isinstance(scale, tuple) else (scale, scale)
    return max(1, int(size[0] * by_width + 0.5)), max(1, int(size[1] * by_height + 0.5))
