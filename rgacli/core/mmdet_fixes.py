"""Mends what is broken in mmdet 3.3.0 and stands in a user's way here."""

from __future__ import annotations

from mmdet.models.dense_heads import SSDHead


def install() -> None:
    """Idempotent."""
    # Its prediction asks for `loss_cls`, which SSDHead never sets: no SSD can be evaluated (mmdet issue 11780).
    SSDHead.loss_cls = None
