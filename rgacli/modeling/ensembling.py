"""How K heads' outputs on the same proposals become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rgacli.errors import UsageError
from rgacli.method import ENSEMBLE

AVERAGE_PROBS = "average-probs"
AVERAGE_BOXES = "average-boxes"

TILTS = (-2.0, -0.5, 0.5, 2.0)
"""For two heads, weights of the one with more positives of 0.02, 0.27, 0.73 and 0.98; tilt 0 is the average."""


@dataclass(frozen=True)
class Combination:
    """How a variant's logits and boxes come from the heads'.

    Args:
        heads: Indices of the heads whose logits it takes.
        merge: Their logits (K, N, C+1), in the order of `heads` -> its logits (N, C+1).
        box_heads: Indices of the heads whose decoded boxes are averaged; mostly one.
    """

    heads: tuple[int, ...]
    merge: Callable[[Tensor], Tensor]
    box_heads: tuple[int, ...]


def mean_logits(cls_logits: Tensor) -> Tensor:
    """Return the mean (N, C+1) of logits (K, N, C+1): the paper's average, before softmax (Sec. 3.2).

    It is the geometric mean of the heads' probabilities, but for its scale.
    """
    return cls_logits.mean(dim=0)


def mean_probs(cls_logits: Tensor) -> Tensor:
    """Return logits (N, C+1) whose softmax is the mean of the probabilities that logits (K, N, C+1) stand for."""
    return cls_logits.log_softmax(dim=-1).logsumexp(dim=0)  # less log K, which a softmax does not see


def weighted_logits(cls_logits: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the sum (N, C+1) of logits (K, N, C+1) by K weights that sum to 1."""
    return torch.tensordot(cls_logits.new_tensor(weights), cls_logits, dims=1)


def tilted_weights(fractions: Sequence[float], tilt: float) -> list[float]:
    """Return the weights of the heads' logits: softmax(tilt · z), z their positive fractions stretched to [-1, 1].

    A tilt above 0 favours heads trained with more positives, one below 0 those with fewer; 0 is the average.

    Args:
        fractions: Positive fraction of each head; not all the same, unless the tilt is to have no effect.
        tilt: Any finite number.
    """
    low, high = min(fractions), max(fractions)
    scale = 2 / (high - low) if high > low else 0.0
    z = torch.tensor([scale * (fraction - low) - 1 for fraction in fractions], dtype=torch.float64)
    return (tilt * z).softmax(dim=0).tolist()


def tilt_name(tilt: float) -> str:
    """Return the variant of a tilt: "tilt+2", "tilt-0.5"."""
    return f"tilt{tilt:+g}"


def combination(variant: str, fractions: Sequence[float], box_head: int) -> Combination:
    """Return the combination of all K heads that a variant's name stands for.

    Args:
        variant: ENSEMBLE, AVERAGE_PROBS, AVERAGE_BOXES, or the `tilt_name` of one of TILTS.
        fractions: Positive fraction of each head.
        box_head: The head whose boxes all take but AVERAGE_BOXES.

    Raises:
        UsageError: there is no such variant.
    """
    heads = tuple(range(len(fractions)))
    tilts = {tilt_name(tilt): tilt for tilt in TILTS}
    if variant == AVERAGE_BOXES:
        return Combination(heads, mean_logits, heads)
    if variant in tilts:
        merge = partial(weighted_logits, weights=tilted_weights(fractions, tilts[variant]))
        return Combination(heads, merge, (box_head,))
    merges = {ENSEMBLE: mean_logits, AVERAGE_PROBS: mean_probs}
    if variant not in merges:
        names = ", ".join((*merges, AVERAGE_BOXES, *tilts))
        raise UsageError(f"no way of combining heads is called '{variant}'; there are {names}.")
    return Combination(heads, merges[variant], (box_head,))


def alone(head: int) -> Combination:
    """Return one head by itself."""
    return Combination((head,), mean_logits, (head,))


def obstacle(method: str, bbox_heads: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why heads of these configs cannot be combined in this way, if they cannot."""
    for head in bbox_heads:
        if method == AVERAGE_PROBS and head.get("loss_cls", {}).get("type", "").endswith("SeesawLoss"):
            return "Seesaw loss makes probabilities of classes and of objects apart"
        if method == AVERAGE_BOXES and head.get("type", "").endswith("SABLHead"):
            return "SABL's boxes have a confidence each, which goes into their scores"
    return None
