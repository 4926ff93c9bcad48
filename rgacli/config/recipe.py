"""The recipe: config -> config. Adds RGA and PRM to any two-stage mmdet config, or takes them away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from mmengine.config import Config, ConfigDict

from rgacli import method
from rgacli.errors import UsageError
from rgacli.method import PRM, RATIOS, RGA, SamplingRatio, head_names, parse_ratios
from rgacli.wording import param

_HOOK = "GradientAnnealingHook"
_PARALLEL = {"StandardRoIHead": "ParallelRoIHead", "CascadeRoIHead": "ParallelCascadeRoIHead"}
_STOCK = {parallel: stock for stock, parallel in _PARALLEL.items()}
# Detectors whose images can go through at once (modeling.batched).
_DETECTORS = ("TwoStageDetector", "FasterRCNN", "MaskRCNN", "CascadeRCNN")
_BATCHED = "Batched"
_PRM_KEYS = ("ratios", "sampling", "head_loss", "draws")
# Their forward pass takes or gives more than RoI features -> logits, boxes.
_UNFIT_BBOX_HEADS = ("DoubleConvFCBBoxHead", "DIIHead", "SCNetBBoxHead", "MultiInstanceBBoxHead")


def set_method(
    cfg: Config,
    *,
    lambda0: float | None = None,
    anneal: str | None = None,
    ratios: Sequence[SamplingRatio] | None = None,
    sampling: str | None = None,
    head_loss: str | None = None,
    draws: str | None = None,
    rga: bool | None = None,
    prm: bool | None = None,
) -> None:
    """Rewrite the config's RoI head and hooks for RGA (Sec. 3.1) and PRM (Sec. 3.2), in place.

    What is None stays as the config has it, else becomes the paper's: λ0 7, linear annealing, ratios 1:1 and 1:9,
    soft sampling, independent draws, the sum of the heads' losses. `lambda0=1` with one ratio 1:3 is the plain
    baseline, and `rga=False, prm=False` trains the config's own detector, of whatever kind, as a config does that says
    `plain = True`.

    A RoI head that cannot have parallel heads gets RGA alone, unless `prm` or a setting of its ask for more.

    Raises:
        UsageError: what is asked for cannot be had of this config, contradicts itself, or is out of range.
    """
    model = cfg.get("model")
    if not model:
        raise UsageError(f"config {cfg.filename} has no `model`: it is no mmdet detector config.")
    plain = cfg.get("plain", False)
    rga_settings = _given(lambda0=lambda0, anneal=anneal)
    prm_settings = _given(ratios=ratios, sampling=sampling, head_loss=head_loss, draws=draws)
    wants_rga = _wanted("rga", rga, rga_settings, default=not plain)
    wants_prm = _wanted("prm", prm, prm_settings, default=not plain)
    if (wants_rga or wants_prm) and not (model.get("roi_head") or {}).get("bbox_head"):
        raise UsageError(
            f"{model.get('type')} has no RoI head with bbox heads, which RGA and PRM act on; "
            f"train it as it is by {param('rga', False)} {param('prm', False)}."
        )
    if wants_prm and (obstacle := _obstacle_to_prm(model)):
        if asked := [*prm_settings, *["prm"] * bool(prm)]:
            raise UsageError(f"{obstacle}; leave out {', '.join(map(param, asked))} to train it with RGA alone.")
        wants_prm = False
    hooks = cfg.get("custom_hooks") or []
    annealing = [_annealing(annealing_config(cfg), rga_settings)] if wants_rga else []
    if wants_prm:
        _set_parallel(model, prm_settings)
    elif prm is False:
        set_stock(model)
    cfg.custom_hooks = [hook for hook in hooks if hook.type != _HOOK] + annealing
    for key in ("paper", "baseline", "settings"):  # a bundled config says it of itself as it stands, not of this run
        cfg.pop(key, None)
    add_imports(cfg, "rgacli.core")


def set_stock(model: ConfigDict) -> None:
    """Make a RoI head with parallel heads mmdet's own of one head, in place."""
    roi_head = model.get("roi_head") or {}
    model.type = detector_name(model)
    if stock := _STOCK.get(_plain(roi_head.get("type", ""))):
        roi_head.type = stock
        for key in (*_PRM_KEYS, "keep_heads", "methods"):
            roi_head.pop(key, None)


def detector_name(model: Mapping[str, Any]) -> str:
    """Return the type of a detector as mmdet calls it: "FasterRCNN" of "BatchedFasterRCNN"."""
    kind = _plain(model["type"])
    name = kind.removeprefix(_BATCHED)
    return name if name in _DETECTORS and name != kind else model["type"]


def parallel_modules(cfg: Config) -> PRM | None:
    """Return how the config's heads are parallel; None where they are mmdet's own."""
    roi_head = cfg.model.get("roi_head") or {}
    return _prm(roi_head) if _plain(roi_head.get("type", "")) in _STOCK else None


def parallel_ratios(cfg: Config) -> tuple[SamplingRatio, ...]:
    """Return the ratios of the config's parallel heads; none where its heads are mmdet's own."""
    prm = parallel_modules(cfg)
    return prm.ratios if prm else ()


def single_ratio(cfg: Config) -> SamplingRatio | None:
    """Return the ratio that the config's only R-CNN module is trained at, mmdet's own `pos_fraction` included.

    None where there are several modules, or what it samples is no such share.
    """
    if ratios := parallel_ratios(cfg):
        return ratios[0] if len(ratios) == 1 else None
    fraction = _first_sampler(cfg).get("pos_fraction", 0) if bbox_head_configs(cfg) else 0
    share = Fraction(fraction).limit_denominator(1000)
    return SamplingRatio(share.numerator, share.denominator - share.numerator) if 0 < share < 1 else None


def positive_quotas(cfg: Config) -> dict[str, int]:
    """Return head -> positives that it asks for in an image (of a cascade's first stage), of parallel heads."""
    ratios = parallel_ratios(cfg)
    drawn = _first_sampler(cfg)["num"] if ratios else 0
    return {name: int(drawn * ratio.positive_fraction) for name, ratio in zip(head_names(ratios), ratios, strict=True)}


def rois_and_proposals(cfg: Config) -> tuple[int, int]:
    """Return the RoIs that are sampled of an image (in a cascade's first stage), of how many proposals, in training.

    Raises:
        UsageError: the config does not say so: it has no R-CNN modules or RPN, or samples otherwise.
    """
    rois = _first_sampler(cfg).get("num")
    proposals = ((cfg.model.get("train_cfg") or {}).get("rpn_proposal") or {}).get("max_per_img")
    if not rois or not proposals:
        lacking = "rpn_proposal.max_per_img" if rois else "rcnn.sampler.num"
        raise UsageError(
            f"the config samples no RoIs of proposals (it has no model.train_cfg.{lacking}): give both numbers by "
            f"{param('rois')} and {param('proposals')}, or another {param('config')}."
        )
    return rois, proposals


def variant_names(cfg: Config) -> dict[str, str]:
    """Return variant, as files are named -> what it is called, of the config's heads; see `method.variant_names`."""
    return method.variant_names(parallel_ratios(cfg))


def bbox_head_configs(cfg: Config) -> list[ConfigDict]:
    """Return the configs of the R-CNN modules' bbox heads, of every stage; none where there are no such modules."""
    return _flat((cfg.model.get("roi_head") or {}).get("bbox_head") or [])


def annealing_config(cfg: Config) -> dict[str, Any]:
    """Return the config of RGA's hook, with `lambda0` and `anneal`; empty where the config has none."""
    own = next((hook for hook in cfg.get("custom_hooks") or [] if hook.type == _HOOK), {})
    return {**asdict(RGA()), **own} if own else {}  # the hook's own defaults


def describe_method(cfg: Config) -> str:
    """Return what a config trains, in a line: "2 R-CNN heads at 1:1, 1:9 (soft sampling), λ0 7 (linear)"."""
    if prm := parallel_modules(cfg):
        how = [f"{prm.sampling} sampling"]
        how += ["nested draws"] * (prm.draws == "nested") + ["mean of the losses"] * (prm.head_loss == "mean")
        names = head_names(prm.ratios)
        heads = f"{len(names)} R-CNN head{'s' * (len(names) > 1)} at {', '.join(names)} ({', '.join(how)})"
    else:
        heads = f"{_plain((cfg.model.get('roi_head') or cfg.model).type)} as the config has it, no PRM"
    hook = annealing_config(cfg)
    return heads + (f", λ0 {hook['lambda0']:g} ({hook['anneal']})" if hook else ", no RGA")


def add_imports(cfg: Config, *modules: str) -> None:
    """Make the config import `modules` when it is read, so that it stands on its own."""
    imports = dict(cfg.get("custom_imports") or dict(imports=[]))
    names = [imports["imports"]] if isinstance(imports["imports"], str) else list(imports["imports"])
    names += [module for module in modules if module not in names]
    cfg.custom_imports = dict(imports=names, allow_failed_imports=imports.get("allow_failed_imports", False))


def require_rpn(cfg: Config) -> None:
    """Raise a UsageError unless the config's detector is a two-stage one with its own RPN."""
    # EmbeddingRPNHead (Sparse R-CNN, QueryInst) finds nothing: its boxes are weights, the same for every image.
    if _plain((cfg.model.get("rpn_head") or {}).get("type", "")) in ("", "EmbeddingRPNHead"):
        raise UsageError(f"{cfg.model.type} has no RPN, so it has no proposals to look at.")


def require_rcnn_heads(cfg: Config) -> None:
    """Raise a UsageError unless the config's detector has R-CNN modules with bbox heads."""
    if not bbox_head_configs(cfg):
        raise UsageError(f"{cfg.model.type} has no R-CNN heads that could send gradients into its backbone.")


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _wanted(name: str, switch: bool | None, given: dict[str, Any], default: bool) -> bool:
    """Return whether a part of the method is wanted: by its switch, else if a setting is given, else by default."""
    if switch is False and given:
        raise UsageError(f"{param(name, False)} contradicts {param(next(iter(given)))}.")
    return default or bool(given) if switch is None else switch


def _obstacle_to_prm(model: ConfigDict) -> str | None:
    """Return why this detector cannot have parallel heads, if it cannot."""
    kind = _plain(model.roi_head.type)
    if kind not in (*_PARALLEL, *_STOCK):
        return f"PRM is built on {' and '.join(_PARALLEL)}, and this config's RoI head is {kind}"
    for head in _flat(model.roi_head.bbox_head):
        if _plain(head.type) in _UNFIT_BBOX_HEADS:
            return f"PRM cannot have several of bbox head {_plain(head.type)}"
    for stage in _flat((model.get("train_cfg") or {}).get("rcnn") or {}):
        if not stage.get("sampler"):
            return "PRM samples RoIs, and this config has no model.train_cfg.rcnn.sampler"
        sampler = _plain(stage.sampler.type)
        if "pos_fraction" not in stage.sampler or sampler == "ScoreHLRSampler":
            return f"PRM trains each head at its own positive fraction, which {sampler} does not sample by"
        if "num" not in stage.sampler:
            return "PRM needs to know how many RoIs are sampled, and model.train_cfg.rcnn.sampler has no num"
    return None


def _prm(roi_head: Mapping[str, Any], **asked: Any) -> PRM:
    """Return the parallel heads: as asked for, else as the config has them, else the paper's."""
    own = {key: roi_head[key] for key in _PRM_KEYS if key in roi_head}
    own["ratios"] = parse_ratios(list(own.get("ratios", RATIOS)))
    return PRM(**{**own, **asked})


def _set_parallel(model: ConfigDict, settings: dict[str, Any]) -> None:
    roi_head = model.roi_head
    prm = _prm(roi_head, **settings)
    samplers = [stage.sampler for stage in _flat(model.train_cfg.rcnn)]
    fewest = min(sampler.num for sampler in samplers)
    for ratio in prm.ratios:
        if int(fewest * ratio.positive_fraction) < 1:
            raise UsageError(
                f"sampling ratio {ratio} leaves a head without positives: it draws {fewest} RoIs an image."
            )
    for sampler in samplers:
        prm.require_sampler(sampler.type)
    kind = _plain(roi_head.type)
    roi_head.type = _PARALLEL.get(kind, kind)
    if _plain(model.type) in _DETECTORS:
        model.type = _BATCHED + _plain(model.type)
    roi_head.update(asdict(prm), ratios=[str(ratio) for ratio in prm.ratios])


def _annealing(own: Mapping[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return the annealing hook: as asked for, else as the config has it, else the paper's."""
    own = {key: own[key] for key in ("lambda0", "anneal") if key in own}
    return dict(type=_HOOK, **asdict(RGA(**{**own, **asked})))


def _first_sampler(cfg: Config) -> Mapping[str, Any]:
    """Return the config of what samples RoIs, of a cascade in its first stage; an empty one where nothing does."""
    return _flat((cfg.model.get("train_cfg") or {}).get("rcnn") or [{}])[0].get("sampler") or {}


def _flat(config: Any) -> list[ConfigDict]:
    """Return the configs in one, in a list of them (a cascade's stages), or in a list of lists."""
    return [one for part in config for one in _flat(part)] if isinstance(config, (list, tuple)) else [config]


def _plain(type_name: str) -> str:
    """Return "StandardRoIHead" of "mmdet.StandardRoIHead"."""
    return type_name.rpartition(".")[2]
