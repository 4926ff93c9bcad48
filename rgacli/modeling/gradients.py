"""What each R-CNN head sends into a weight of the shared backbone (paper, Sec. 3.3 and Fig. 5)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from rgacli.errors import UsageError
from rgacli.method import WHOLE, unslug
from rgacli.wording import param, some

WEIGHT = "layer4.0.conv1"
"""The paper's: `Block4.Conv1`, the first convolution of ResNet's last stage."""
MASK = "mask"

_OF_MASKS = ("mask", "point")  # PointRend's points refine masks
_OF_NO_BOX_OR_MASK = ("rpn", "semantic", "glbctx")  # HTC's and SCNet's branches of the whole image


def backbone_weight(
    backbone: nn.Module, name: str | None = None, *, asked_by: str = "probe_weight"
) -> tuple[str, nn.Parameter]:
    """Return a weight of the backbone, and the name that finds it again.

    Args:
        backbone: The detector's, in training mode, since some freeze their stages only there.
        name: Of a module with a weight ("layer4.0.conv1"), or of a parameter; by default the paper's, or in a backbone
            that has none of that name, the first weight matrix of its last stage.
        asked_by: The parameter that `name` was given by.

    Raises:
        UsageError: there is none of that name, it is frozen, or the backbone forgets its activations (`with_cp`), so
            that nothing but a whole backward pass can be had of it.
    """
    kind = type(backbone).__name__
    if any(getattr(module, "with_cp", False) for module in backbone.modules()):
        raise UsageError(
            "gradients: activation checkpointing lets no single one be measured; switch it off by "
            f"{param('settings', 'model.backbone.with_cp=False')}."
        )
    parameters = dict(backbone.named_parameters())
    name = name or (WEIGHT if f"{WEIGHT}.weight" in parameters else _first_of_last_stage(backbone))
    if name is None:
        raise UsageError(f"gradients: {kind}, the backbone, has no weight that is trained, so that none reach it.")
    weight = parameters.get(f"{name}.weight", parameters.get(name))
    if weight is None:
        known = [found.removesuffix(".weight") for found in parameters if parameters[found].ndim > 1]
        near = difflib.get_close_matches(name, known, n=3) or known[::-1]
        raise UsageError(f"{param(asked_by, name)}: {kind} has no such weight; it has {some(near, 3)}.")
    if not weight.requires_grad:
        raise UsageError(
            f"{param(asked_by, name)}: this weight of the backbone is frozen, so that no gradient reaches it; "
            "name another, of a stage that is trained."
        )
    return name, weight


def _first_of_last_stage(backbone: nn.Module) -> str | None:
    """Return the first convolution, or linear layer, of the stage that the last one is in; frozen ones do not count."""
    names = [
        name.removesuffix(".weight")
        for name, parameter in backbone.named_parameters()
        if name.endswith(".weight") and parameter.ndim > 1 and parameter.requires_grad
    ]

    def stage(name: str) -> list[str]:
        first, *rest = name.split(".")
        listed = type(getattr(backbone, first)) is nn.ModuleList  # Swin's stages: "stages.3"
        return [first, *rest[:listed]]

    return next((name for name in names if stage(name) == stage(names[-1])), None)


def rcnn_losses(logged: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the loss of each R-CNN head, by its slug ("1to9"), and of a mask head (`MASK`), which comes last.

    Args:
        logged: Losses and statistics as mmengine's `parse_losses` names them: "loss_rpn_cls", "1to9.loss_bbox", in a
            cascade "s0.1to9.loss_cls". What belongs to no head is passed over.

    Returns:
        Sums over the terms and, in a cascade, the stages. mmdet's own single head is "detector".
    """
    heads: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    for key, value in logged.items():
        *parts, term = key.split(".")
        if key == "loss" or "loss" not in term or any(word in term for word in _OF_NO_BOX_OR_MASK):
            continue
        is_mask = any(word in term for word in _OF_MASKS)
        # What leads the term in the names of a cascade without parallel heads is its stage.
        head = MASK if is_mask else next((part for part in parts if unslug(part) != part), WHOLE)
        found = masks if is_mask else heads
        found[head] = found[head] + value if head in found else value
    return {**heads, **masks}


def gradients(losses: Mapping[str, Tensor], weight: nn.Parameter, scale: float = 1.0) -> Tensor:
    """Return the gradient of each loss at a weight, (K, P) flat and in float32. The graph stays as it is.

    Args:
        losses: K scalars.
        weight: Of P numbers.
        scale: A loss scaler's factor, which keeps small gradients above zero in fp16 on their way back.
    """
    found = []
    for loss in losses.values():
        (gradient,) = torch.autograd.grad(loss * scale, weight, retain_graph=True, allow_unused=True)
        found.append(torch.zeros_like(weight) if gradient is None else gradient)
    return torch.stack(found).flatten(1).float() / scale


def measure_heads(found: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return norms and angles of what R-CNN heads, and a mask head, send into a weight.

    Args:
        found: (K, P), their gradients.
        names: As `rcnn_losses` names them.

    Returns:
        "heads.1to9" and its like, the Frobenius norm of each head's; "heads.sum", that of their vector sum;
        "heads.sum_of_norms"; "heads.angle", in degrees, as `measures` returns them. With a mask head the same of
        "branches": "branches.box", of the sum of the heads, and "branches.mask".
    """
    found = found.cpu().double()
    boxes = [i for i, name in enumerate(names) if name != MASK]
    groups = {"heads": (found[boxes], [names[i] for i in boxes])}
    if MASK in names:
        both = torch.stack([found[boxes].sum(dim=0), found[names.index(MASK)]])
        groups["branches"] = (both, ["box", MASK])
    return {f"{group}.{key}": value for group, (own, of) in groups.items() for key, value in measures(own, of).items()}


def measures(vectors: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return the norm of each vector, of their sum, the sum of the norms, and the angle between them.

    Args:
        vectors: (K, P).
        names: K.

    Returns:
        Name -> norm; "sum"; "sum_of_norms", which "sum" never exceeds; "angle", in degrees between 0 and 180, of more
        than two the mean over all pairs. Between fewer than two vectors that are not zero there is none.
    """
    norms = vectors.norm(dim=1)
    told = dict(zip(names, norms.tolist(), strict=True))
    told |= {"sum": vectors.sum(dim=0).norm().item(), "sum_of_norms": norms.sum().item()}
    units = vectors[norms > 0] / norms[norms > 0, None]
    if len(units) > 1:
        # 2·atan2(|a−b|, |a+b|): the arc cosine knows small angles to half of the digits alone.
        angles = [2 * torch.atan2((a - b).norm(), (a + b).norm()) for a, b in combinations(units, 2)]
        told["angle"] = torch.stack(angles).mean().rad2deg().item()
    return told
