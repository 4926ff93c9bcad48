"""mmdet's RandomSampler for a batch, and for all parallel heads at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rgacli.modeling.batched.boxes import constant


class Draws(NamedTuple):
    """What K heads sample of each of B images: S places, positives first, then negatives, then unused ones.

    Attributes:
        index: (K, B, S) of boxes.
        is_positive: (K, B, S) bool.
        valid: (K, B, S) bool, False where fewer than S were to be had.
        positives, negatives: (K, B), how many of them.
    """

    index: Tensor
    is_positive: Tensor
    valid: Tensor
    positives: Tensor
    negatives: Tensor

    def weights(self, of_positives: float) -> Tensor:
        """Return each place's weight in the classification loss, (K, B, S); `of_positives` 0 or less stands for 1."""
        weights = self.valid.float()
        return weights.masked_fill(self.is_positive, of_positives) if of_positives > 0 else weights


def draw(assigned: Tensor, keys: Tensor, number: int, quotas: Sequence[int]) -> Draws:
    """Return each head's sample: of positives and of negatives those with the highest keys.

    With independent uniform keys this is mmdet's RandomSampler: a uniform choice of at most `quota` positives, and of
    as many negatives as are left to `number`. Heads that share their keys draw nested samples.

    Args:
        assigned: (B, N), as `assign` returns it.
        keys: (K, B, N) in [0, 1), or (1, B, N) of heads that share them.
        number: How many boxes a head draws.
        quotas: Positives that each of the K heads draws at most.
    """
    size = min(number, assigned.size(1))
    keys = keys.expand(len(quotas), -1, -1)
    most = constant(quotas, keys.device)[:, None]
    ranked, positive = keys.masked_fill(assigned <= 0, -1).topk(min(max(*quotas, 1), size))
    positives = torch.minimum((ranked >= 0).sum(dim=-1), most)
    ranked, negative = keys.masked_fill(assigned != 0, -1).topk(size)
    negatives = torch.minimum((ranked >= 0).sum(dim=-1), number - positives)
    place = torch.arange(size, device=keys.device)
    is_positive = place < positives[..., None]
    # Negatives stand after all that could have been positive.
    shift = positive.size(-1) - positives
    source = place + shift[..., None].masked_fill(is_positive, 0)
    index = torch.cat([positive, negative], dim=-1).gather(-1, source.clamp_(max=positive.size(-1) + size - 1))
    return Draws(index, is_positive, place < (positives + negatives)[..., None], positives, negatives)
