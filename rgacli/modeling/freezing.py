"""Freezing the first stages of a backbone, as is usual in fine-tuning."""

from __future__ import annotations

import inspect

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from rgacli.errors import UsageError
from rgacli.wording import param


def set_frozen_stages(cfg: Config, stages: int) -> None:
    """Have a backbone's stem and its first `stages` stages keep their weights and statistics, in place.

    Raises:
        UsageError: it has not so many stages, or none that can be frozen, or it starts from no trained weights.
    """
    init_default_scope(cfg.get("default_scope", "mmdet"))
    backbone = cfg.model.backbone
    kind = MODELS.get(backbone.type)
    if kind is None or "frozen_stages" not in _keywords(kind):
        raise UsageError(f"{param('freeze_backbone', stages)}: {backbone.type} has no stages that can be frozen.")
    number = len(backbone.get("depths") or ()) or backbone.get("num_stages", 4)
    if not 0 <= stages <= number:
        raise UsageError(
            f"{param('freeze_backbone', stages)}: {backbone.type} has {number} stages (0: the stem alone is frozen)."
        )
    if not (backbone.get("init_cfg") or cfg.get("load_from") or cfg.get("weights")):
        raise UsageError(
            f"{param('freeze_backbone', stages)}: this backbone starts from nothing, and would stay so: name trained "
            f"{param('weights')}."
        )
    backbone.frozen_stages = stages


def _keywords(kind: type) -> set[str]:
    """Return what a class is constructed by, with what its constructor hands on to those of its bases."""
    found: set[str] = set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters
            found |= parameters.keys()
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    return found
