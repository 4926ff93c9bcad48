"""K parallel bbox heads as one stock head, exactly.

The average of K heads' logits is itself a head of fully connected layers: the heads' first layers stacked, later ones
on a block diagonal, the classifiers side by side and divided by K. Its boxes are those of the head with the highest
positive fraction, so the regressor is that head's, with zeros for the others' features (paper, Sec. 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rgacli.errors import UsageError
from rgacli.wording import function

_BRANCHES = {"cls_fcs": "fc_cls", "reg_fcs": "fc_reg"}
"""The layers of a ConvFCBBoxHead after those that both branches share -> the branch's last layer."""


def fold_bbox_heads(heads: Sequence[nn.Module], box_head: int) -> dict[str, Tensor]:
    """Return the state dict of one bbox head that does what the average ensemble of `heads` does.

    Args:
        heads: K of mmdet's BBoxHead or ConvFCBBoxHead, with hidden layers of H_k features each.
        box_head: Index of the head whose boxes the ensemble takes.

    Returns:
        Of a head of the same kind with hidden layers of ΣH_k features.

    Raises:
        UsageError: a head has convolutions, norms, or a predictor other than a plain linear layer; the heads differ in
            depth.
    """
    for head in heads:
        _require_linear(head)
    for name in ("shared_fcs", *_BRANCHES):
        if len({len(getattr(head, name, ())) for head in heads}) > 1:
            raise UsageError(f"heads with different numbers of hidden layers ({name}) do not fold into one.")
    folded = {}
    shared_wide = _fold_layers("shared_fcs", heads, False, folded)
    for branch, last in _BRANCHES.items():
        wide = _fold_layers(branch, heads, shared_wide, folded)
        layers = [getattr(head, last) for head in heads]
        weight, bias = _average(layers, wide) if last == "fc_cls" else _choose(layers, box_head, wide)
        folded |= {f"{last}.weight": weight, f"{last}.bias": bias}
    return {**heads[box_head].state_dict(), **folded}  # a loss may keep numbers of its own, which training alone asks


def folded_width(heads: Sequence[nn.Module]) -> int | None:
    """Return `fc_out_channels` of the folded head; None where heads have no hidden layers."""
    widths = [getattr(head, "fc_out_channels", None) for head in heads]
    return sum(widths) if all(widths) else None


def _fold_layers(name: str, heads: Sequence[nn.Module], wide: bool, folded: dict[str, Tensor]) -> bool:
    """Fold the hidden layers in a list of each head; return whether each head then has features of its own.

    Args:
        name: Of the list.
        heads: As for `fold_bbox_heads`.
        wide: Whether the heads' features are their own already; at first all see the same RoI features.
        folded: Where the folded layers go.
    """
    for index, layers in enumerate(zip(*(getattr(head, name, ()) for head in heads), strict=True)):
        weights = [layer.weight for layer in layers]
        folded[f"{name}.{index}.weight"] = torch.block_diag(*weights) if wide else torch.cat(weights)
        folded[f"{name}.{index}.bias"] = torch.cat([layer.bias for layer in layers])
        wide = True
    return wide


def _average(layers: Sequence[nn.Linear], wide: bool) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the mean of K layers' outputs, on their own features or on common ones."""
    weights = [layer.weight for layer in layers]
    weight = torch.cat(weights, dim=1) / len(layers) if wide else torch.stack(weights).mean(dim=0)
    return weight, torch.stack([layer.bias for layer in layers]).mean(dim=0)


def _choose(layers: Sequence[nn.Linear], chosen: int, wide: bool) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one layer's output, blind to the other layers' features."""
    own = layers[chosen]
    if not wide:
        return own.weight, own.bias
    outputs = own.weight.size(0)
    columns = [layer.weight if layer is own else own.weight.new_zeros(outputs, layer.in_features) for layer in layers]
    return torch.cat(columns, dim=1), own.bias


def _require_linear(head: nn.Module) -> None:
    for name, module in head.named_modules():
        if list(module.parameters(recurse=False)) and type(module) is not nn.Linear:
            raise UsageError(
                f"{type(head).__name__} does not fold into a stock head: its {name} is a {type(module).__name__}, and "
                f"only heads of plain fully connected layers do. Export one head by {function('export_head')}."
            )
