"""The metric of validation by which a training keeps its best checkpoint, and stops where that no longer improves."""

from __future__ import annotations

from mmengine.config import Config

from rgacli.config.recipe import variant_names
from rgacli.config.run_record import Validation, validation_of
from rgacli.engine.early_stopping import PatienceHook
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import MASK_METRICS
from rgacli.evaluation.variants_metric import validated_by
from rgacli.method import ENSEMBLE, unslug
from rgacli.modeling.checkpoints import read_checkpoint
from rgacli.runs import Run
from rgacli.wording import param

NONE = "none"
"""No best checkpoint is kept."""


def set_best(cfg: Config, best: str | None) -> None:
    """Have a training config keep the checkpoint that is best by a metric, in place.

    Args:
        cfg: With its evaluators set.
        best: HEAD/METRIC ("1:9/AP50"), or METRIC of the ensemble or only head; "none" keeps none. By default what the
            config says (mmengine's `save_best`), else the metric that detectors are ranked by.

    Raises:
        UsageError: there is no such head or metric.
    """
    hook = cfg.default_hooks.get("checkpoint") or {}
    named = [best]
    if best is None:
        own = hook.get("save_best")
        several = own if isinstance(own, (list, tuple)) else [own]  # of each, mmengine keeps a best
        named = [None if name == "auto" else name for name in several]
    metrics = list(dict.fromkeys(monitored(cfg, name) for name in named if name != NONE))
    kept = {key: value for key, value in hook.items() if key not in ("save_best", "rule")}
    if metrics:
        kept["save_best"] = metrics if len(metrics) > 1 else metrics[0]
    cfg.default_hooks.checkpoint = kept


def set_patience(cfg: Config, patience: int) -> None:
    """Have a training config stop after so many validations without a better checkpoint, in place.

    Args:
        cfg: As `set_best` left it.
        patience: At least 1.

    Raises:
        UsageError: patience < 1, or there is not one metric by which a checkpoint is the best.
    """
    if patience < 1:
        raise UsageError(f"{param('patience', patience)}: it must be at least 1.")
    metric = cfg.default_hooks.checkpoint.get("save_best")
    if not isinstance(metric, str):
        raise UsageError(
            f"{param('patience', patience)} goes by the best checkpoint's metric: name it by {param('best')}."
        )
    hook = dict(type=PatienceHook.__name__, monitor=metric, patience=patience)
    others = [hook for hook in cfg.get("custom_hooks") or [] if hook.type != PatienceHook.__name__]
    cfg.custom_hooks = [*others, hook]


def monitored(cfg: Config, best: str | None) -> str:
    """Return a metric as validation logs it: "coco/1to9/AP50" of "1:9/AP50".

    Args:
        cfg: With its evaluators set.
        best: As for `set_best`, but not "none".

    Raises:
        UsageError: there is no such head or metric.
    """
    benchmark = validated_by(cfg)
    variants, metrics = variant_names(cfg), [*benchmark.metrics]
    if (cfg.model.get("roi_head") or {}).get("mask_head"):
        metrics += MASK_METRICS
    metrics += [gt_bin.metric for gt_bin in benchmark.bins]
    named = best or benchmark.metrics[0]
    head, _, metric = named.removeprefix(f"{benchmark.name}/").rpartition("/")
    by_name = {**{name: variant for variant, name in variants.items()}, **{variant: variant for variant in variants}}
    for default in ("", ENSEMBLE):  # of a single head, the ensemble is that head
        by_name.setdefault(default, list(variants)[-1])
    if head not in by_name or metric not in metrics:
        raise UsageError(
            f"{param('best', best)}: it is HEAD/METRIC. The heads are {', '.join(variants.values())}; the metrics are "
            f"{', '.join(metrics)}."
        )
    return f"{benchmark.name}/{by_name[head]}/{metric}"


def read_best(run: Run) -> tuple[Validation, str] | None:
    """Return what validation found of a run's best checkpoint, and the metric by which it is: "1:9/AP50".

    The file tells of itself, as the log may be of a resumed run that went another way. None where none was kept.
    """
    meta = read_checkpoint(run.best).get("meta", {}) if run.best.is_file() else {}
    if "best" not in meta:
        return None
    _, variant, metric = meta["best"]["metric"].split("/")
    step = {"epoch": meta["epoch"] or None}
    return validation_of({**meta["best"]["metrics"], "step": meta["iter"]}, step), f"{unslug(variant)}/{metric}"
