"""A trained detector on one split: the detections of every variant on disk, and their AP."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.hooks import Hook
from torch import nn

from rgacli.config.dataset import annotation_file, dataset_config
from rgacli.config.limits import set_limits
from rgacli.config.recipe import parallel_ratios, variant_names
from rgacli.data.splits import SPLITS
from rgacli.engine.distributed import together
from rgacli.engine.runner import QuietRunner, quiet_stdout
from rgacli.errors import DataError, RunFailed, UsageError
from rgacli.evaluation.results import load_results
from rgacli.evaluation.variants_metric import evaluator
from rgacli.evaluation.views import Views
from rgacli.files import parse_json, write_json
from rgacli.locks import LOCK, locked
from rgacli.modeling.build import build_detector
from rgacli.modeling.joint_detector import JointDetector
from rgacli.trained import Trained
from rgacli.wording import param

_SOURCE = "source.json"

_READING = ("LoadImageFromFile", "LoadAnnotations", "PackDetInputs")
_PREPROCESSOR_DEFAULTS = dict(mean=None, std=None, pad_size_divisor=1, pad_value=0, bgr_to_rgb=False, rgb_to_bgr=False)


def split_dataloader(cfg: Config, split: str) -> Any:
    """Return the dataloader config of a split, without shuffling or augmentation.

    Raises:
        UsageError: there is no such split.
    """
    if split not in SPLITS:
        raise UsageError(f"{param('split', split)}: it can be one of {', '.join(SPLITS)}.")
    if not cfg.get(f"{split}_dataloader"):
        raise UsageError(f"{param('split', split)}: the config has no {split}_dataloader.")
    loader = copy.deepcopy(cfg[f"{'val' if split == 'train' else split}_dataloader"])
    if split == "train":
        source, target = dataset_config(cfg.train_dataloader), dataset_config(loader)
        target.update(
            {key: source[key] for key in ("data_root", "ann_file", "data_prefix", "metainfo") if key in source}
        )
    return loader


def detect(
    trained: Trained,
    split: str,
    out_dir: Path,
    *,
    log_dir: Path,
    hooks: Sequence[Hook] = (),
    measured: bool = True,
    max_dets: int | None = None,
    methods: Sequence[str] = (),
    views: Views | None = None,
) -> dict[str, dict[str, float]]:
    """Run a detector over a split, once; in a job of several processes each takes its share of the images.

    Args:
        trained: The detector.
        split: "train", "val" or "test".
        out_dir: Where `<variant>.json` is saved in COCO's results format.
        log_dir: Where mmengine's text log goes.
        hooks: Such as a progress display.
        measured: False leaves the detections unmeasured, as on images without annotations.
        max_dets: How many of an image's detections count; None for `max_dets_for`'s number.
        methods: Of a detector with parallel heads, other ways of combining them that are wanted as variants, too.
        views: How it looks at an image; once and whole without.

    Returns:
        Variant (slug of a head, "ensemble") -> metric -> value: COCO's AP, AP50, AP75, APs, APm, APl, and mask_AP,
        mask_AP50, mask_AP75 where there are masks; mMR, AP50, JI on CrowdHuman; none if not measured.

    Raises:
        UsageError: the split or the checkpoint cannot be used, or another process makes the same detections now.
    """
    variants = [*variant_names(trained.cfg), *methods]
    source = _source([trained], _annotations(trained.cfg, split), views)
    with quiet_stdout():
        model = variants_detector(trained, methods)  # refuses a bad checkpoint before anything is written
    if views:
        model = views.wrap(trained.cfg, model)
    return _detect(model, trained.cfg, source, split, out_dir, variants, log_dir, hooks, measured, max_dets, views)


def detect_jointly(
    detectors: Mapping[str, Trained],
    split: str,
    out_dir: Path,
    *,
    log_dir: Path,
    hooks: Sequence[Hook] = (),
    max_dets: int | None = None,
    methods: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Run separate detectors on common proposals, as `detect`; variants are the average ensemble and `methods`.

    Args:
        detectors: By name; the first one's config says where the split is.

    Raises:
        UsageError: as `joint_detector`.
    """
    trained = list(detectors.values())
    cfg = trained[0].cfg
    source = _source(trained, _annotations(cfg, split))
    with quiet_stdout():
        model = joint_detector(detectors, methods)
    variants = list(model.variants)
    return _detect(model, cfg, source, split, out_dir, variants, log_dir, hooks, measured=True, max_dets=max_dets)


def _annotations(cfg: Config, split: str) -> str:
    return annotation_file(dataset_config(split_dataloader(cfg, split)))


def variants_detector(trained: Trained, methods: Sequence[str] = (), *, fused: bool = True) -> nn.Module:
    """Return the detector with its weights, which leaves all its variants in the data samples.

    Args:
        trained: The detector.
        methods: Of combining its heads, that are wanted as variants, too.
        fused: Whether norm layers become part of convolutions; without, its parameters are those that were trained.
    """
    cfg = copy.deepcopy(trained.cfg)
    if parallel_ratios(cfg):
        cfg.model.roi_head.update(keep_heads=True, methods=list(methods))
    return build_detector(cfg, trained.checkpoint, fused=fused)


def joint_detector(
    detectors: Mapping[str, Trained], methods: Sequence[str] = (), *, fused: bool = True
) -> JointDetector:
    """Return separate detectors as one; `methods` and `fused` as for `variants_detector`.

    Raises:
        UsageError: they differ in what they do to an image, or as JointDetector's.
    """
    (first, proposing), *others = detectors.items()
    for name, other in others:
        if _preprocessing(other.cfg) != _preprocessing(proposing.cfg):
            raise UsageError(
                f"{name} prepares images in another way than {first} (test pipeline or data_preprocessor), so they "
                f"have no common proposals; {param('method', 'joint-nms')} and wbf need nothing in common."
            )
    built = {name: build_detector(trained.cfg, trained.checkpoint, fused=fused) for name, trained in detectors.items()}
    return JointDetector(built, methods)


def _preprocessing(cfg: Config) -> tuple[Any, Any]:
    """Return what happens to a test image before the backbone; how it is read from disk is no part of it."""
    steps = [step for step in dataset_config(cfg.test_dataloader).pipeline if step.type not in _READING]
    given = cfg.model.get("data_preprocessor") or {}
    return steps, {key: given.get(key, default) for key, default in _PREPROCESSOR_DEFAULTS.items()}


def _detect(
    model: nn.Module,
    cfg: Config,
    source: dict[str, Any],  # as it was when the model was not yet loaded: a training writes best.pth anew meanwhile
    split: str,
    out_dir: Path,
    variants: Sequence[str],
    log_dir: Path,
    hooks: Sequence[Hook],
    measured: bool,
    max_dets: int | None,
    views: Views | None = None,
) -> dict[str, dict[str, float]]:
    loader = split_dataloader(cfg, split)
    if views:
        dataset = dataset_config(loader)
        dataset.pipeline = views.pipeline(cfg, dataset.pipeline)
    annotations = annotation_file(dataset_config(loader))
    metric = evaluator(annotations, max_dets) if measured else dict(type="VariantsMetric", ann_file=annotations)
    with ExitStack() as stack:
        with together():
            if is_main_process():
                # Two at once would leave detections of the one that the other's source.json speaks for.
                out_dir.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(out_dir / LOCK, f"detections in {out_dir} are being made by"))
        with quiet_stdout():
            runner = QuietRunner(
                model=model,
                work_dir=str(log_dir),
                test_dataloader=loader,
                test_cfg=dict(type="TestLoop"),
                test_evaluator=dict(metric, out_dir=str(out_dir)),
                default_scope=cfg.get("default_scope", "mmdet"),
                env_cfg=cfg.get("env_cfg", dict(dist_cfg=dict(backend="nccl"))),
                # Whoever launched it: by now the process has joined.
                launcher="pytorch" if is_distributed() else "none",
                experiment_name=f"detect_{time.time_ns()}",  # mmengine has one log per name: runs may not share theirs
            )
            for hook in hooks:
                runner.register_hook(hook)
            if is_main_process():
                (out_dir / _SOURCE).unlink(missing_ok=True)  # until all that lies there is of one pass
            values = runner.test()
        metrics = metrics_by_variant(values, variants)
        if is_main_process():
            write_json(out_dir / _SOURCE, {**source, "metrics": metrics, "max_dets": max_dets})
        barrier()  # what lies there is whole for every rank
    return metrics


def saved_detections(
    detectors: Sequence[Trained],
    annotations: dict,
    ann_file: str,
    out_dir: Path,
    variants: Sequence[str],
    views: Views | None = None,
) -> dict[str, list[dict]] | None:
    """Return what `detect` or `detect_jointly` left in `out_dir`: variant -> detections, of those named.

    None if that is not whole, or not of these detectors on these annotations, looked at so.
    """
    try:
        source, metrics, _ = _read_source(out_dir)
        if source != _source(detectors, ann_file, views) or not metrics.keys() >= set(variants):
            return None
        files = {variant: out_dir / f"{variant}.json" for variant in variants}
        if not all(map(Path.is_file, files.values())):  # a FIFO might never end
            return None
        return {variant: load_results(file, annotations) for variant, file in files.items()}
    except (FileNotFoundError, ValueError, LookupError, DataError):
        return None


def changed_meanwhile(checkpoint: str, ann_file: str, out_dir: Path, who: str = "the detector") -> RunFailed:
    """Return the error of detections that are none of their detectors' any more once they are made.

    Args:
        checkpoint: Its file, or whose it is.
        ann_file, out_dir: As `saved_detections` takes them.
        who: Ran.
    """
    return RunFailed(
        f"{checkpoint}, or {ann_file}, changed while {who} ran, so that {out_dir} holds detections of what was there "
        "before: run again."
    )


def saved_metrics(trained: Trained, ann_file: str, out_dir: Path) -> tuple[dict[str, dict[str, float]], int | None]:
    """Return what `detect` returned, as left in `out_dir`, and how many detections of an image counted.

    Empty and None if not of this detector, with the limits that it then had, and split.
    """
    try:
        source, metrics, max_dets = _read_source(out_dir)
        raised = replace(trained, cfg=copy.deepcopy(trained.cfg))
        if max_dets:
            set_limits(raised.cfg, max_dets)
        return (metrics, max_dets) if source == _source([raised], ann_file) else ({}, None)
    except (FileNotFoundError, ValueError, LookupError):
        return {}, None


def _read_source(out_dir: Path) -> tuple[dict[str, Any], dict[str, dict[str, float]], int | None]:
    """Return what the detections there depend on, their metrics, and how many of an image counted for these.

    Raises:
        FileNotFoundError, ValueError: it is not told, or the file is damaged.
    """
    if not (out_dir / _SOURCE).is_file():
        raise FileNotFoundError(out_dir / _SOURCE)
    source = parse_json((out_dir / _SOURCE).read_bytes())
    if not isinstance(source, dict) or not isinstance(source.get("metrics"), dict):
        raise ValueError(f"{out_dir / _SOURCE}: no metrics")
    return source, source.pop("metrics"), source.pop("max_dets", None)


def _source(detectors: Sequence[Trained], ann_file: str, views: Views | None = None) -> dict[str, Any]:
    """Return what detections depend on: configs, weights, the split's annotations, and how images are looked at."""
    states = [{"config": _digest(_said(one.cfg)), "checkpoint": _state(one.checkpoint)} for one in detectors]
    source = {"detectors": states, "annotations": _state(Path(ann_file))}
    if views:
        cfg = detectors[0].cfg
        settings = [views.pipeline(cfg, dataset_config(cfg.test_dataloader).pipeline), views.settings(cfg)]
        source["views"] = {"name": views.name, "settings": _digest(settings)}
    return source


def _said(cfg: Config) -> list[Any]:
    """Return what a config says of the detector and of the images it is given."""
    return [cfg.model, *(cfg.get(f"{split}_dataloader") for split in SPLITS)]


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()


def _state(path: Path) -> dict[str, Any]:
    """Return a file's place, size and time."""
    return {"path": str(path.resolve()), "size": path.stat().st_size, "modified": path.stat().st_mtime_ns}


def metrics_by_variant(metrics: dict[str, float], variants: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return {"1to9": {"AP": 0.3, ...}} of {"coco/1to9/AP": 0.3, ...}, in the variants' order."""
    found: dict[str, dict[str, float]] = {variant: {} for variant in variants}
    for key, value in metrics.items():
        _, variant, metric = key.split("/")
        found[variant][metric] = value
    return found
