"""Fixes of what is broken in mmdet 3.3.0 and stands in a user's way here."""

from __future__ import annotations

import warnings

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
