"""How K heads' outputs on the same proposals become one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ENSEMBLE = "ensemble"


def average_ensemble(
    cls_logits: Sequence[Tensor], bbox_preds: Sequence[Tensor], box_head: int
) -> tuple[Tensor, Tensor]:
    """The paper's average ensemble (Sec. 3.2): logits averaged before softmax, boxes of one head.

    Args:
        cls_logits: K tensors (N, C+1), one per head, on the same N proposals.
        bbox_preds: K tensors (N, 4·C), or (N, 4) where the heads regress class-agnostically.
        box_head: Index of the head trained with the highest positive fraction.

    Returns:
        Logits (N, C+1) and box regression, shaped as the heads'.
    """
    return torch.stack(list(cls_logits)).mean(dim=0), bbox_preds[box_head]
