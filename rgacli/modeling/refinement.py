"""How one head's boxes for a union of RoIs are had, of which it sampled a part itself (cascades)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rgacli.modeling.stages import HeadOutput


@torch.no_grad()
def outputs_on_union(head: nn.Module, features: Tensor, index: Tensor, own: HeadOutput) -> HeadOutput:
    """Return a head's outputs on a union of RoIs, in the union's order and without gradients.

    On the RoIs that the head sampled they are those of its training pass, as in mmdet's cascade. The others are not
    for it to learn from: on those it runs in eval mode, where norm layers go by their running statistics (of the head's
    own RoIs) and leave them as they are. If it sampled all of the union, as a single head does, it does not run again.

    Args:
        head: The head.
        features: RoI features (U, C, H, W) of the union.
        index: (N,), where the head's own RoIs stand in the union; may repeat.
        own: Its outputs on those.
    """
    number = len(index)
    position = torch.arange(number, device=index.device)
    row = index.new_full((len(features),), number).scatter_reduce(0, index, position, "amin")
    others = (row == number).nonzero().squeeze(1)
    if not len(others):
        return _rows([own], row)
    with evaluating(head):
        rest = head(features[others])
    row[others] = number + torch.arange(len(others), device=index.device)
    return _rows([own, rest], row)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in eval mode for a while; each part goes back to the mode that it had."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _rows(outputs: Sequence[Any], row: Tensor) -> Any:
    """Return rows of outputs one under another, each a tensor or (SABL's boxes) a nest of several."""
    if isinstance(outputs[0], Tensor):
        return torch.cat(list(outputs))[row]
    return tuple(_rows(parts, row) for parts in zip(*outputs, strict=True))
