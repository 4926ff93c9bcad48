"""A trained detector on one split: the detections of every variant on disk, and their AP."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook

from rgacli.core.detector import build_detector
from rgacli.core.ensembling import ENSEMBLE
from rgacli.core.ratios import names_by_slug
from rgacli.core.recipe import parallel_ratios
from rgacli.core.training import QuietRunner, quiet_stdout
from rgacli.data.binding import annotation_file, dataset_config
from rgacli.data.layout import SPLITS
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.results import load_results
from rgacli.evaluation.variants_metric import WHOLE, evaluator
from rgacli.files import write_json

_SOURCE = "source.json"


def split_dataloader(cfg: Config, split: str) -> Any:
    """The dataloader config of a split, without shuffling or augmentation.

    Raises:
        UsageError: there is no such split.
    """
    if split not in SPLITS:
        raise UsageError(f"--split {split}: it can be one of {', '.join(SPLITS)}.")
    if not cfg.get(f"{split}_dataloader"):
        raise UsageError(f"--split {split}: the config has no {split}_dataloader.")
    loader = copy.deepcopy(cfg[f"{'val' if split == 'train' else split}_dataloader"])
    if split == "train":
        source, target = dataset_config(cfg.train_dataloader), dataset_config(loader)
        target.update(
            {key: source[key] for key in ("data_root", "ann_file", "data_prefix", "metainfo") if key in source}
        )
    return loader


def detect(
    cfg: Config,
    checkpoint: Path,
    split: str,
    out_dir: Path,
    *,
    log_dir: Path,
    hooks: Sequence[Hook] = (),
    measured: bool = True,
) -> dict[str, dict[str, float]]:
    """Runs a detector over a split, once.

    Args:
        cfg: The detector's config.
        checkpoint: Its weights.
        split: "train", "val" or "test".
        out_dir: Where `<variant>.json` is saved in COCO's results format.
        log_dir: Where mmengine's text log goes.
        hooks: Such as a progress display.
        measured: False leaves the detections unmeasured, as on images without annotations.

    Returns:
        Variant (slug of a head, "ensemble") -> metric -> value: COCO's AP, AP50, AP75, APs, APm, APl, and mask_AP,
        mask_AP50, mask_AP75 where there are masks; mMR, AP50, JI on CrowdHuman; none if not measured.

    Raises:
        UsageError: the split or the checkpoint cannot be used.
    """
    cfg = copy.deepcopy(cfg)
    if parallel_ratios(cfg):
        cfg.model.roi_head.keep_heads = True
    loader = split_dataloader(cfg, split)
    annotations = annotation_file(dataset_config(loader))
    metric = evaluator(annotations) if measured else dict(type="VariantsMetric", ann_file=annotations)
    with quiet_stdout():
        runner = QuietRunner(
            model=build_detector(cfg, checkpoint),  # refuses a bad checkpoint before anything is written
            work_dir=str(log_dir),
            test_dataloader=loader,
            test_cfg=dict(type="TestLoop"),
            test_evaluator=dict(metric, out_dir=str(out_dir)),
            default_scope=cfg.get("default_scope", "mmdet"),
            env_cfg=cfg.get("env_cfg", dict(dist_cfg=dict(backend="nccl"))),
            experiment_name=f"detect_{time.time_ns()}",  # mmengine has one log per name: runs may not share theirs
        )
        for hook in hooks:
            runner.register_hook(hook)
        values = runner.test()
    metrics = metrics_by_variant(values, list(variant_names(cfg)))
    write_json(out_dir / _SOURCE, {**_source(checkpoint, annotations), "metrics": metrics})
    return metrics


def saved_detections(checkpoint: Path, annotations: dict, ann_file: str, out_dir: Path) -> dict[str, list[dict]] | None:
    """What `detect` left in `out_dir`: variant -> detections.

    None if that is not whole, or not of this checkpoint on these annotations.
    """
    try:
        source = json.loads((out_dir / _SOURCE).read_text(encoding="utf-8"))
        metrics = source.pop("metrics")
        if source != _source(checkpoint, ann_file):
            return None
        return {variant: load_results(out_dir / f"{variant}.json", annotations) for variant in metrics}
    except (FileNotFoundError, ValueError, LookupError, DataError):
        return None


def _source(checkpoint: Path, ann_file: str) -> dict[str, Any]:
    """What detections depend on: the weights and the split's annotations, by place, size and time."""
    files = {"checkpoint": Path(checkpoint), "annotations": Path(ann_file)}
    return {
        what: {"path": str(path.resolve()), "size": path.stat().st_size, "modified": path.stat().st_mtime_ns}
        for what, path in files.items()
    }


def variant_names(cfg: Config) -> dict[str, str]:
    """Variant (as files are named) -> what it is called ("1to9" -> "1:9")."""
    heads = names_by_slug(parallel_ratios(cfg))
    if not heads:
        return {WHOLE: WHOLE}
    return {**heads, ENSEMBLE: ENSEMBLE} if len(heads) > 1 else heads


def metrics_by_variant(metrics: dict[str, float], variants: Sequence[str]) -> dict[str, dict[str, float]]:
    """{"coco/1to9/AP": 0.3, ...} -> {"1to9": {"AP": 0.3, ...}}, in the variants' order."""
    found: dict[str, dict[str, float]] = {variant: {} for variant in variants}
    for key, value in metrics.items():
        _, variant, metric = key.split("/")
        found[variant][metric] = value
    return found
