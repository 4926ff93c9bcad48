"""Training a detector with RGA and PRM, or going on with one."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process

from rgacli import runs
from rgacli.analysis import curves
from rgacli.api.parameters import require_used
from rgacli.config.catalogue import LITE, MODERN, default_config
from rgacli.config.dataset import require_trainable, require_unchanged, set_dataset
from rgacli.config.files import load_config, make_regular, set_keys
from rgacli.config.fingerprint import write_fingerprint
from rgacli.config.limits import set_limits
from rgacli.config.recipe import describe_method, parallel_ratios, set_method
from rgacli.config.run_record import Validation, read_log
from rgacli.config.schedule import (
    set_accumulation,
    set_batch_size,
    set_clipping,
    set_epochs,
    set_learning_rate,
    set_processes,
)
from rgacli.config.schema import TRAINED_BY
from rgacli.data.layout import find_dataset, named_files
from rgacli.data.synthetic import embedded_dataset
from rgacli.engine.averaging import set_ema
from rgacli.engine.compiling import set_compiled
from rgacli.engine.device import Device, on_device
from rgacli.engine.distributed import of_rank_0, set_sync_bn, together
from rgacli.engine.divergence import divergence
from rgacli.engine.gradient_probe import set_gradient_probe
from rgacli.engine.hooks import Interrupted, RunGoneHook
from rgacli.engine.metrics_log import read_metrics
from rgacli.engine.precision import set_mixed_precision
from rgacli.engine.progress_hook import ProgressHook
from rgacli.engine.resuming import checkpoint_to_resume
from rgacli.engine.starting_weights import (
    read_source_of,
    require_pretrained,
    start_from,
    start_from_own,
    write_starting_weights,
)
from rgacli.engine.trackers import set_trackers
from rgacli.engine.training import set_run_folder
from rgacli.engine.training import train as train_prepared
from rgacli.errors import UsageError
from rgacli.evaluation.best import read_best, set_best, set_patience
from rgacli.evaluation.max_dets import default_max_dets, require_max_dets
from rgacli.evaluation.variants_metric import set_evaluators
from rgacli.files import write_text
from rgacli.messages import tell
from rgacli.method import SamplingRatio, names_by_slug, parse_ratios
from rgacli.modeling.freezing import set_frozen_stages
from rgacli.modeling.source_weights import SourceWeights
from rgacli.progress import Progress
from rgacli.wording import param, spelled


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        run: Its run directory.
        checkpoint: The last checkpoint.
        method: What was trained, in a line.
        last: What validation found last; None where it never did.
        best: What it found of the best checkpoint, `run.best`; None where none was kept.
        best_by: The metric by which that is the best: "ensemble/AP".
        curves: The figure of how it went (PNG), beside its CSV; None where it could not be drawn.
        seconds: That this training took; of a resumed run, from there on.
        diverged: What tells that its weights have become useless, in a line; None where nothing does.
    """

    run: runs.Run
    checkpoint: Path
    method: str
    last: Validation | None = None
    best: Validation | None = None
    best_by: str | None = None
    curves: Path | None = None
    seconds: float = 0.0
    diverged: str | None = None


def train(
    config: str | None = None,
    *,
    lambda0: float | None = None,
    anneal: Literal["linear", "none"] | None = None,
    ratios: str | Sequence[str] | None = None,
    sampling: Literal["soft", "hard"] | None = None,
    head_loss: Literal["sum", "mean"] | None = None,
    draws: Literal["independent", "nested"] | None = None,
    rga: bool | None = None,
    prm: bool | None = None,
    weights: str | Path | None = None,
    freeze_backbone: int | None = None,
    data: Path | None = None,
    train_ann: Path | None = None,
    val_ann: Path | None = None,
    test_ann: Path | None = None,
    train_images: Path | None = None,
    val_images: Path | None = None,
    test_images: Path | None = None,
    split_by: str | None = None,
    max_dets: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    scale_lr: bool = True,
    accumulate: int | None = None,
    clip: float | None = None,
    seed: int | None = None,
    best: str | None = None,
    patience: int | None = None,
    ema: bool = False,
    ema_momentum: float | None = None,
    amp: bool = False,
    amp_dtype: Literal["fp16", "bf16"] | None = None,
    compile: bool = False,
    sync_bn: bool = False,
    device: Device = "auto",
    name: str | None = None,
    work_dir: Path | None = None,
    resume: bool = False,
    track: Sequence[str] | None = None,
    probe_gradients: int | None = None,
    probe_weight: str | None = None,
    settings: Sequence[str] | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a two-stage detector with R-CNN Gradient Annealing and Parallel R-CNN Modules.

    In a job of several processes, each calls it alike.

    Args:
        config: A bundled name, mmdet::… or a file; by default the quickstart, or with `data` a small detector.
        lambda0: RGA's factor on the heads' gradients at the first step (Eq. 1; the paper's is 7); 1 is no RGA.
        anneal: "linear" lets it fall to 1, "none" keeps it (Table 4's control).
        ratios: PRM's positive:negative sampling ratios, one per head: "1:1,1:9" or a list (Sec. 3.2).
        sampling: "soft" (the paper's) or "hard" (Table 8).
        head_loss: "sum" of the K heads' losses (the paper's), which gives the backbone about K times the gradient of
            one head, or their "mean": a control that tells the ensemble's effect from that of a higher learning rate.
        draws: "independent" (the paper's), or "nested": the heads sample an image in one random order, so that together
            they look at fewer RoIs.
        rga, prm: Whether to train with RGA, with PRM; by default both where the detector allows it.
        weights: Checkpoint of a trained detector to start from, or its address: mmdet's own, an export's, a run's or
            torchvision's. Its one head becomes every parallel one, its heads those of their ratios, and the layers of
            classes that it was not trained for start anew. A config's pretrained backbone no longer counts. By default
            the config's own, as a run's has that started from some.
        freeze_backbone: Stages of the backbone that keep their weights, besides its stem.
        data: Dataset folder in a layout of COCO, Roboflow, YOLO or Pascal VOC, or one COCO file with its images; the
            embedded one where neither it nor `config` is given.
        train_ann, val_ann, test_ann: Annotation files, where `data` does not tell.
        train_images, val_images, test_images: Image folders, where `data` does not tell.
        split_by: Shares of train, val and test, as "80:10:10", of a dataset that is not divided; always the same split.
        epochs: The learning-rate schedule is stretched to match. 0, with `weights`: write the detector that a training
            would start from, as a run's checkpoint of epoch 0.
        batch_size: Images per iteration of one process.
        lr: Learning rate; by default the config's, scaled to the images that an optimizer step sees.
        scale_lr: Whether to scale the config's.
        accumulate: Iterations per optimizer step.
        clip: Norm at which gradients are clipped, after λ; 0 is no clipping.
        seed: For weights, data order, augmentation and sampling; by default the config's, else 0.
        best: Metric of validation whose best checkpoint is kept as best.pth: "1:9/AP50", or "AP50" of the ensemble or
            only head; "none" keeps none. By default the config's `save_best`, else AP, on CrowdHuman mMR.
        patience: Validations without a better one after which training stops. λ has not come to 1 by then, as it
            anneals over all epochs.
        ema: Validate and save an exponential moving average (EMA) of the weights in their place.
        ema_momentum: Share that the weights of a step have in it, 0.0002 by default; switches `ema` on.
        max_dets: Detections of an image that the detector can give: its limits are raised to it, in training those on
            proposals as well, and validation counts as many. By default as many as the dataset's densest image needs,
            see `evaluate`; up to 100, a config stays as it is.
        amp: Automatic mixed precision, of type `amp_dtype`.
        amp_dtype: "fp16" or "bf16"; switches `amp` on.
        compile: Compile the backbone and the neck by torch.compile: a minute at first, then quicker steps on a GPU.
        sync_bn: Batch statistics over the images of all processes.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        name: Of the run under runs/; with `resume`, the run to go on with.
        work_dir: Directory of the run, in place of one under runs/.
        resume: Go on with a run from its last checkpoint, by its own config; nothing else may be given. One that was
            ended before its first begins again.
        track: Also log to "tensorboard", "wandb", "mlflow", "clearml", "neptune", "aim", "dvclive".
        probe_gradients: Measure every so many iterations what each R-CNN head sends into the backbone, for
            `gradients` (Fig. 5); the training stays the same to the bit. By default never.
        probe_weight: Weight of the backbone that it is measured at; by default the paper's "layer4.0.conv1", or in a
            backbone without it the first of its last stage.
        settings: Keys of the config to set: "key.sub_key=value" each, or a mapping.
        progress: Told of each iteration.

    Raises:
        UsageError, DataError: what is asked for cannot be trained.
        RunFailed: the training failed; its run has the last checkpoint.
    """
    given = dict(locals())
    if name and work_dir:
        raise UsageError(f"give {param('name')} or {param('work_dir')}, not both.", shared=True)
    with on_device(device):
        if resume:
            _require_alone(given)
            return _resume(runs.find_run(name, work_dir), progress)
        # Several machines tell the time differently.
        name = of_rank_0(name or runs.default_name(config or default_config(data)))
        locations = {
            "annotations": {"train": train_ann, "val": val_ann, "test": test_ann},
            "images": {"train": train_images, "val": val_images, "test": test_images},
        }
        with ExitStack() as stack:
            with together():
                require_max_dets(max_dets)
                require_used("probe_weight", probe_weight, None, probe_gradients=probe_gradients is not None)
                heads = parse_ratios(ratios) if ratios is not None else None
                cfg = _new_config(config, data, locations, split_by, progress)
                adapt(
                    cfg,
                    config or default_config(data),
                    settings or [],
                    lambda0=lambda0,
                    anneal=anneal,
                    ratios=heads,
                    sampling=sampling,
                    head_loss=head_loss,
                    draws=draws,
                    rga=rga,
                    prm=prm,
                )
                source = start_from_own(cfg) if weights is None else start_from(cfg, weights)
                if freeze_backbone is not None:
                    set_frozen_stages(cfg, freeze_backbone)
                if epochs is not None:
                    set_epochs(cfg, epochs, least=0 if source else 1)
                if not source and cfg.train_cfg.get("max_epochs") == 0:
                    raise UsageError(
                        "the config's train_cfg.max_epochs is 0: set it to at least 1, or give the weights that it is "
                        f"to write by {param('weights')}."
                    )
                if batch_size is not None:
                    set_batch_size(cfg, batch_size)
                if accumulate is not None:
                    set_accumulation(cfg, accumulate)
                if clip is not None:
                    set_clipping(cfg, clip)
                tell(set_learning_rate(cfg, lr, processes=get_world_size(), scale=scale_lr))
                if amp or amp_dtype:
                    set_mixed_precision(cfg, amp_dtype or "fp16")
                if sync_bn:
                    set_sync_bn(cfg)
                if compile:
                    set_compiled(cfg)
                set_trackers(cfg, track or [])
                splits = require_trainable(cfg)
                densest = max(facts.densest for facts in splits.values())
                require_pretrained(cfg)
                benchmark = set_evaluators(cfg, max_dets)
                needed = max_dets or default_max_dets(benchmark.max_detections, densest)
                if raised := set_limits(cfg, needed, training=True):
                    tell(f"{raised} (the densest image has {densest} objects)")
                set_best(cfg, best)
                if patience is not None:
                    set_patience(cfg, patience)
                if ema or ema_momentum is not None:
                    set_ema(cfg, ema_momentum)
                if probe_gradients is not None:
                    set_gradient_probe(cfg, probe_gradients, probe_weight)
                _set_seed(cfg, seed)
                cfg.processes = get_world_size()
                cfg.trained_from = config or default_config(data)
                run = runs.named(name, work_dir)
                if is_main_process():
                    stack.enter_context(runs.new_run(name, work_dir))
                set_run_folder(cfg, run.path, run.checkpoints)
                if is_main_process():
                    write_text(run.config, cfg.pretty_text)
                    write_fingerprint(run.data, {split: splits[split] for split in ("train", "val")})
            return _begin(run, cfg, source, progress)


def adapt(
    cfg: Config,
    name: str,
    settings: Sequence[str] | Mapping[str, Any],
    *,
    ratios: Sequence[SamplingRatio] | None,
    **method: Any,
) -> None:
    """Set keys and the method of a config as `train` is asked to, in place.

    Args:
        cfg: As it was loaded.
        name: What it is called.
        settings: As of `train`.
        ratios, method: As `set_method` takes them.

    Raises:
        UsageError: it cannot have them, or cannot be trained.
    """
    set_keys(cfg, settings)
    make_regular(cfg, f"config {name}", TRAINED_BY)
    set_method(cfg, ratios=ratios, **method)


def _new_config(
    config: str | None,
    data: Path | None,
    locations: dict[str, dict[str, Path | None]],
    split_by: str | None,
    progress: Progress | None,
) -> Config:
    """Return the config, pointed at its dataset."""
    cfg = load_config(config or default_config(data))
    given = named_files(**locations) + ["split_by"] * bool(split_by)
    if given and data is None:
        raise UsageError(f"{param(given[0])} is of a dataset: give its folder by {param('data')}.")
    if data or config is None:
        if data is None:
            tell(f"no {param('config')} and no {param('data')}: training the quickstart config on the embedded dataset")
        elif config is None:
            tell(f"no {param('config')}: training {LITE}, fit for a CPU; with a GPU try {MODERN}")
        root = data or embedded_dataset(progress=progress)
        set_dataset(cfg, find_dataset(root, **locations, split_by=split_by, progress=progress))
    return cfg


def _set_seed(cfg: Config, seed: int | None) -> None:
    own = dict(cfg.get("randomness") or {})
    cfg.randomness = dict(own, seed=(own.get("seed") or 0) if seed is None else seed)


def _require_alone(given: Mapping[str, Any]) -> None:
    """Raise a UsageError if anything but the run to resume is given: it would be ignored."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(train).parameters.items()}
    others = [
        name
        for name, value in given.items()
        if name not in ("resume", "name", "work_dir", "device", "progress") and value != defaults[name]
    ]
    if others:
        raise UsageError(
            f"{param('resume', True)} goes on with the run's own config: leave out {', '.join(map(param, others))}.",
            shared=True,
        )


def _resume(run: runs.Run, progress: Progress | None) -> TrainResult:
    with together():
        cfg = load_config(str(run.config))
        make_regular(cfg, f"config {run.config}", TRAINED_BY)
        require_unchanged(cfg, run.data)
        if shared := set_processes(cfg, get_world_size()):
            tell(shared)
        set_run_folder(cfg, run.path, run.checkpoints)  # the run directory may have been moved
    with ExitStack() as stack:
        with together():
            if is_main_process():  # for all of a job
                stack.enter_context(run.held())
            checkpoint = None if run.is_unsaved else checkpoint_to_resume(run)
            source = read_source_of(cfg) if checkpoint is None else None
            if checkpoint is None and is_main_process():
                tell(f"run {run.path} has no checkpoint yet: from the beginning")
                run.metrics.unlink(missing_ok=True)
        return _train(run, cfg, checkpoint, progress) if checkpoint else _begin(run, cfg, source, progress)


def _begin(run: runs.Run, cfg: Config, source: SourceWeights | None, progress: Progress | None) -> TrainResult:
    """Train from the beginning, which is what `source` has, if anything: the run keeps its own copy."""
    is_untrained = cfg.train_cfg.get("max_epochs") == 0
    start = run.starting_point if is_untrained else run.initial
    with together():
        if source:
            cfg.load_from = str(start)
            if is_main_process():
                for line in write_starting_weights(cfg, source, start):
                    tell(line)
    if is_untrained:
        return TrainResult(run, start, describe_method(cfg))
    return _train(run, cfg, None, progress)


def _train(run: runs.Run, cfg: Config, resume_from: Path | None, progress: Progress | None) -> TrainResult:
    heads, method, begun = names_by_slug(parallel_ratios(cfg)), describe_method(cfg), time.monotonic()
    tell(f"run {run.path}: {method}" + (f", from {resume_from}" if resume_from else ""))
    hooks = [RunGoneHook(run.config), ProgressHook(progress, heads)]
    try:
        train_prepared(cfg, run.checkpoints, run.metrics, hooks, resume_from)
    except Interrupted:
        _draw_curves(run, cfg)
        raise
    checkpoint, seconds = run.last_checkpoint(), time.monotonic() - begun
    _, validations, _ = read_log(run)
    best, best_by = read_best(run) or (None, None)
    figure, diverged = _draw_curves(run, cfg), divergence(read_metrics(run.metrics))
    if is_main_process():
        if checkpoint == resume_from:
            tell(
                f"the training had ended already: {checkpoint}. To train for longer, begin another from it by "
                f"{param('weights', run.handle)}"
            )
        else:
            tell(f"done: {checkpoint}, in {timedelta(seconds=round(seconds))}")
        if best:
            tell(f"best: {run.best}, by {best_by} in validation")
        if figure:
            tell(f"curves: {figure}; data: {figure.with_suffix('.csv')}")
        if diverged:
            tell(f"the training has diverged: {diverged}")
    last = validations[-1] if validations else None
    return TrainResult(run, checkpoint, method, last, best, best_by, figure, seconds, diverged and spelled(diverged))


def _draw_curves(run: runs.Run, cfg: Config) -> Path | None:
    """Draw how the training went, and return the figure; None where that fails, which is told: the run is whole."""
    figure = run.curves
    try:
        if is_main_process():
            curves.draw(run, cfg, figure)
    except Exception as error:
        tell(f"the curves could not be drawn: {error}")
        return None
    return figure
