"""The layers that have rows for each class: what of trained ones is kept where the classes are others."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

_ROWS = {"fc_cls": (1, 1), "fc_reg": (4, 0), "conv_logits": (1, 0)}
"""Layer of mmdet's RoI heads -> its rows to a class, and those of the background, which come last."""
_AGNOSTIC = {"fc_reg": "reg_class_agnostic", "conv_logits": "class_agnostic"}
"""Layer -> what mmdet's heads that have it call it where its rows are for all classes."""


def is_class_layer(name: str) -> bool:
    """Return whether a weight or bias of mmdet's RoI heads may have rows for each class, by its name."""
    return _layer(name) in _ROWS


def has_rows_by_class(name: str, model: nn.Module) -> bool:
    """Return whether a class layer of a detector has rows for each class, and not the same for all.

    Its shape does not tell where there is one class.
    """
    head = model.get_submodule(".".join(name.split(".")[:-2]))
    return not getattr(head, _AGNOSTIC.get(_layer(name), ""), False)


def carry_rows(
    name: str,
    trained: Tensor,
    fresh: Tensor,
    old: Sequence[str] | None,
    new: Sequence[str],
    *,
    by_class: bool = True,
) -> Tensor:
    """Return a class layer's weight or bias for `new` classes: the trained rows of those that it was trained for.

    Args:
        name: The weight's or bias's, such as "fc_cls.weight".
        trained: (R, …), of the old classes.
        fresh: (R', …), of the new ones, freshly initialised: what classes start from that are not among the old.
        old: Old class names, by label; None where they are not known: only the background's row is kept.
        new: New class names, by label.
        by_class: Whether the new layer is not class-agnostic (`has_rows_by_class`).

    Returns:
        Of `fresh`'s shape. A layer without rows for each class (a class-agnostic regressor, a classifier laid out in a
        way of its own) is the trained one where it fits, else `fresh`.
    """
    each, background = _ROWS[_layer(name)]
    known = len(old) if old is not None else (len(trained) - background) // each
    rows_fit = len(trained) == known * each + background and len(fresh) == len(new) * each + background
    if not by_class or not rows_fit or trained.shape[1:] != fresh.shape[1:]:
        return trained if trained.shape == fresh.shape else fresh
    rows, label = fresh.clone(), {own: index for index, own in enumerate(old or ())}
    for index, own in enumerate(new):
        if own in label:
            rows[index * each : (index + 1) * each] = trained[label[own] * each : (label[own] + 1) * each]
    if background:
        rows[-1] = trained[-1]
    return rows


def _layer(name: str) -> str:
    return name.split(".")[-2] if "." in name else ""
