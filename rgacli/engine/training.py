"""Training through mmengine's Runner: our run layout, and whole files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.hooks import Hook

from rgacli.config.files import BUILD_ERRORS, cannot_build
from rgacli.config.recipe import add_imports
from rgacli.engine.checkpoint_hook import RunCheckpointHook
from rgacli.engine.distributed import together
from rgacli.engine.divergence import DivergenceHook
from rgacli.engine.hooks import FiniteLossHook, InterruptHook, MisfitHook, ResumedMetricsHook, outlast_signals
from rgacli.engine.log_history import LogHistoryHook
from rgacli.engine.reproducible import set_reproducible
from rgacli.engine.runner import QuietRunner, ResumableIterLoop, ResumableTrainLoop, quiet_stdout
from rgacli.engine.sampling_statistics import SamplingStatisticsHook
from rgacli.engine.trackers import set_tracker_folders
from rgacli.modeling.checkpoints import read_checkpoint


def set_run_folder(cfg: Config, work_dir: Path, checkpoints: Path) -> None:
    """Point a training config at its run directory, in place. `cfg` stays reloadable on its own."""
    cfg.work_dir = str(work_dir / "logs")
    set_tracker_folders(cfg, work_dir)
    # mmengine keeps one visualizer (and message hub, and log) per name: without its own, a run would write into the
    # files of the one that this process trained before.
    cfg.experiment_name = work_dir.absolute().name
    visualizer = cfg.get("visualizer") or dict(type="DetLocalVisualizer")
    cfg.visualizer = dict(visualizer, name=str(work_dir), vis_backends=cfg.vis_backends)
    own = {
        key: value
        for key, value in (cfg.default_hooks.get("checkpoint") or {}).items()
        if key not in ("type", "out_dir")
    }
    cfg.default_hooks.checkpoint = dict(own, type=RunCheckpointHook.__name__, out_dir=str(checkpoints))
    # Validation is logged at its iteration, as training is, so that a resumed run can tell what came after it.
    cfg.default_hooks.logger = dict(
        cfg.default_hooks.get("logger") or dict(type="LoggerHook"), log_metric_by_epoch=False
    )
    resumable = {"EpochBasedTrainLoop": ResumableTrainLoop, "IterBasedTrainLoop": ResumableIterLoop}
    if (loop := resumable.get(cfg.train_cfg.get("type", "EpochBasedTrainLoop"))) is not None:
        cfg.train_cfg.type = loop.__name__
    for split in ("train", "val"):
        if loader := cfg.get(f"{split}_dataloader"):
            loader.setdefault("worker_init_fn", dict(type=outlast_signals.__name__))
    set_reproducible(cfg)
    add_imports(cfg, "rgacli.core")


def train(cfg: Config, checkpoints: Path, metrics: Path, hooks: Sequence[Hook], resume_from: Path | None) -> None:
    """Train by a config with its run folder set.

    Args:
        cfg: As `set_run_folder` left it, in this session or an earlier one of the same run.
        checkpoints: Folder that an interrupted run leaves its checkpoint in.
        metrics: The run's metrics.jsonl.
        hooks: Additional hooks, such as a progress display.
        resume_from: A checkpoint of this run to go on from.

    Raises:
        Interrupted: by a signal; a checkpoint was written.
        RunFailed: the loss or the weights are no longer finite.
        UsageError: what the config describes cannot be built, or a checkpoint cannot be used.
    """
    cfg.load_from = str(resume_from) if resume_from else cfg.get("load_from")
    cfg.resume = resume_from is not None
    cfg.launcher = "pytorch" if is_distributed() else "none"  # whoever launched it: by now the process has joined
    if cfg.load_from and "://" not in cfg.load_from:
        with together():
            read_checkpoint(cfg.load_from)  # refuses a bad one before anything is written
    interrupt, finite = InterruptHook(checkpoints), FiniteLossHook()
    # Where gradients are accumulated, schedules step before the optimizer does.
    warnings.filterwarnings("ignore", message="Detected call of `scheduler.step")
    own_hooks = [MisfitHook(), finite, SamplingStatisticsHook(), LogHistoryHook(), DivergenceHook(metrics)]
    own_hooks += [*hooks, interrupt]
    if resume_from:
        own_hooks.append(ResumedMetricsHook(metrics))  # last: it may validate, which all hooks are to see
    try:
        with quiet_stdout():
            runner = QuietRunner.from_cfg(cfg)
            for hook in own_hooks:
                runner.register_hook(hook, priority=hook.priority)
            runner.train()
    except Exception as error:
        if found := finite.found():  # an error that follows from numbers that are none tells less
            raise finite.failure(found[0], shared=False) from error
        if interrupt.is_training or not isinstance(error, BUILD_ERRORS):
            raise
        refusal = cannot_build(error)
        refusal.shared = True  # every process builds the same
        raise refusal from error
    finally:
        interrupt.restore()
