"""The recipe: config -> config. Adds RGA and PRM to a two-stage mmdet config."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmengine.config import Config, ConfigDict

from rgacli.core.ratios import SamplingRatio
from rgacli.errors import UsageError

LAMBDA0 = 7.0
RATIOS = ("1:1", "1:9")

_HOOK = "GradientAnnealingHook"
_ROI_HEADS = ("StandardRoIHead", "ParallelRoIHead")
_BBOX_HEADS = ("BBoxHead", "ConvFCBBoxHead", "Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead")
_SAMPLERS_BY_LOSS = ("OHEMSampler", "ScoreHLRSampler")
_SUPPORTED = "Faster R-CNN configs: a StandardRoIHead with one of " + ", ".join(_BBOX_HEADS) + " and no mask head"


def apply_method(
    cfg: Config,
    *,
    lambda0: float | None = None,
    anneal: str | None = None,
    ratios: Sequence[SamplingRatio] | None = None,
    sampling: str | None = None,
) -> None:
    """Rewrites the config's RoI head and hooks for RGA (Sec. 3.1) and PRM (Sec. 3.2), in place.

    What is None stays as the config has it, else becomes the paper's: λ0 7, linear annealing, ratios 1:1 and 1:9,
    soft sampling. `lambda0=1` with one ratio 1:3 is the plain baseline.

    Raises:
        UsageError: the config is not of a supported kind, or a value is out of range.
    """
    roi_head = check_supported(cfg)
    roi_head.type = "ParallelRoIHead"
    roi_head.ratios = [str(ratio) for ratio in ratios] if ratios is not None else roi_head.get("ratios", list(RATIOS))
    roi_head.sampling = sampling or roi_head.get("sampling", "soft")
    sampler = cfg.model.train_cfg.rcnn.sampler.type
    if roi_head.sampling == "hard" and sampler != "RandomSampler":
        raise UsageError(f"--sampling hard is defined for RandomSampler only; this config samples by {sampler}.")
    own = next((hook for hook in cfg.get("custom_hooks") or [] if hook.type == _HOOK), {})
    hook = dict(
        type=_HOOK,
        lambda0=float(lambda0 if lambda0 is not None else own.get("lambda0", LAMBDA0)),
        anneal=anneal or own.get("anneal", "linear"),
    )
    if not 1 <= hook["lambda0"] < math.inf:
        raise UsageError(
            f"--lambda0 {hook['lambda0']:g}: it must be a finite number, at least 1 (no RGA); the paper's is 7."
        )
    cfg.custom_hooks = [other for other in cfg.get("custom_hooks") or [] if other.type != _HOOK] + [hook]
    add_imports(cfg, "rgacli.core")


def check_supported(cfg: Config) -> ConfigDict:
    """The config's RoI head, if it is one that the recipe can serve.

    Raises:
        UsageError: it is not; says what is.
    """
    model = cfg.get("model")
    if not model:
        raise UsageError(f"config {cfg.filename} has no `model`: it is no mmdet detector config.")
    roi_head = model.get("roi_head")
    if not roi_head:
        raise UsageError(f"{model.get('type')} has no RoI head, which RGA and PRM act on. Supported: {_SUPPORTED}.")
    kind = _plain(roi_head.type)
    if kind not in _ROI_HEADS:
        raise UsageError(f"RoI head {kind} is not supported. Supported: {_SUPPORTED}.")
    if roi_head.get("mask_head"):
        raise UsageError(f"{model.type} with a mask head is not supported. Supported: {_SUPPORTED}.")
    bbox_heads = roi_head.bbox_head if isinstance(roi_head.bbox_head, (list, tuple)) else [roi_head.bbox_head]
    for head in bbox_heads:
        if _plain(head.type) not in _BBOX_HEADS:
            raise UsageError(f"bbox head {_plain(head.type)} is not supported. Supported: {_SUPPORTED}.")
    sampler = model.train_cfg.rcnn.sampler
    if _plain(sampler.type) in _SAMPLERS_BY_LOSS:
        raise UsageError(
            f"{sampler.type} samples by the losses of a single bbox head, so several cannot share it. "
            "Take mmdet's RandomSampler: --set model.train_cfg.rcnn.sampler.type=RandomSampler."
        )
    return roi_head


def add_imports(cfg: Config, *modules: str) -> None:
    """Makes the config import `modules` when it is read, so that it stands on its own."""
    imports = dict(cfg.get("custom_imports") or dict(imports=[]))
    names = [imports["imports"]] if isinstance(imports["imports"], str) else list(imports["imports"])
    names += [module for module in modules if module not in names]
    cfg.custom_imports = dict(imports=names, allow_failed_imports=imports.get("allow_failed_imports", False))


def require_rpn(cfg: Config) -> None:
    """Raises a UsageError unless the config's detector is a two-stage one with its own RPN."""
    if not cfg.model.get("rpn_head"):
        raise UsageError(f"{cfg.model.type} has no RPN, so it has no proposals to look at.")


def _plain(type_name: str) -> str:
    """ "mmdet.StandardRoIHead" -> "StandardRoIHead"."""
    return type_name.rpartition(".")[2]
