"""Training through mmengine's Runner: our run layout, whole files, and resuming inside an epoch."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from rgacli.core.checkpoint_hook import RunCheckpointHook
from rgacli.core.checkpoints import read_checkpoint
from rgacli.core.configs import BUILD_ERRORS, cannot_build
from rgacli.core.distributed import together
from rgacli.core.recipe import add_imports
from rgacli.core.reproducible import make_reproducible
from rgacli.core.run_hooks import FiniteLossHook, InterruptHook, MisfitHook, ResumedMetricsHook, outlast_signals
from rgacli.core.tracking import place_trackers

# mmengine's warnings of its own code, and of gradients that our checkpoints hold.
_NOT_SHOWN = ("deprecated", "gradient of some iterations is lost")


class QuietRunner(Runner):
    """mmengine's Runner, with its log in a file and only warnings on the terminal (stderr)."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """As Runner's, but for where messages go."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stderr)
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: not any(words in record.getMessage() for words in _NOT_SHOWN))
        return logger

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """As Runner's, which takes it that a process of several has a GPU."""
        if self.distributed and not torch.cuda.is_available():
            unused = self.cfg.get("find_unused_parameters", False)
            own = dict(type="MMDistributedDataParallel", broadcast_buffers=False, find_unused_parameters=unused)
            model_wrapper_cfg = dict(model_wrapper_cfg or own, device_ids=None)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # mmengine names it
            return super().wrap_model(model_wrapper_cfg, model)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """As Runner's. Ranks send their results to rank 0 and write no files to the working folder for it to read."""
        built = super().build_evaluator(evaluator)
        if self.distributed:
            for metric in built.metrics:
                metric.collect_device = "gpu"  # by the process group, on whatever device
        return built

    def dump_config(self) -> None:
        """The run directory holds the config already."""


def quiet_stdout() -> AbstractContextManager:
    """Keeps what pycocotools prints ("creating index...") off stdout, which belongs to tables and JSON."""
    return redirect_stdout(io.StringIO())


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's epoch loop, which on a resume goes on in the middle of an epoch where the checkpoint lies there."""

    def run(self) -> nn.Module:
        """The whole training. Processes that load data end with it: the garbage collector waits 5 seconds for each."""
        try:
            return super().run()
        finally:
            for loop in (self, self.runner.val_loop):
                iterator = getattr(getattr(loop, "dataloader", None), "_iterator", None)
                if iterator is not None:
                    iterator._shutdown_workers()

    def run_epoch(self) -> None:
        """One epoch, less the batches that were trained on before a resume: those are not even loaded."""
        done = self._iter - self._epoch * len(self.dataloader)
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        self.dataloader.batch_sampler.skip = done
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


def prepare(cfg: Config, work_dir: Path, checkpoints: Path) -> None:
    """Points a training config at its run directory, in place. `cfg` stays reloadable on its own."""
    cfg.work_dir = str(work_dir / "logs")
    place_trackers(cfg, work_dir)
    # mmengine keeps one visualizer (and message hub, and log) per name: without its own, a run would write into the
    # files of the one that this process trained before.
    cfg.experiment_name = Path(work_dir).name
    visualizer = cfg.get("visualizer") or dict(type="DetLocalVisualizer")
    cfg.visualizer = dict(visualizer, name=str(work_dir), vis_backends=cfg.vis_backends)
    own = {
        key: value
        for key, value in (cfg.default_hooks.get("checkpoint") or {}).items()
        if key not in ("type", "out_dir")
    }
    cfg.default_hooks.checkpoint = dict(own, type=RunCheckpointHook.__name__, out_dir=str(checkpoints))
    # Validation is logged at its iteration, as training is, so that a resumed run can tell what came after it.
    cfg.default_hooks.setdefault("logger", dict(type="LoggerHook"))["log_metric_by_epoch"] = False
    if cfg.train_cfg.get("type", "EpochBasedTrainLoop") == "EpochBasedTrainLoop":
        cfg.train_cfg.type = ResumableTrainLoop.__name__
    for split in ("train", "val"):
        if loader := cfg.get(f"{split}_dataloader"):
            loader.setdefault("worker_init_fn", dict(type=outlast_signals.__name__))
    make_reproducible(cfg)
    add_imports(cfg, "rgacli.core")


def train(cfg: Config, checkpoints: Path, metrics: Path, hooks: Sequence[Hook], resume_from: Path | None) -> None:
    """Trains by a prepared config.

    Args:
        cfg: What `prepare` returned, or that of an earlier session of the same run.
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
    interrupt = InterruptHook(checkpoints)
    # Where gradients are accumulated, schedules step before the optimizer does.
    warnings.filterwarnings("ignore", message="Detected call of `scheduler.step")
    own_hooks = [MisfitHook(), FiniteLossHook(), *hooks, interrupt]
    if resume_from:
        own_hooks.append(ResumedMetricsHook(metrics))
    try:
        with quiet_stdout():
            runner = QuietRunner.from_cfg(cfg)
            for hook in own_hooks:
                runner.register_hook(hook, priority=hook.priority)
            runner.train()
    except BUILD_ERRORS as error:
        if interrupt.is_training:
            raise
        refusal = cannot_build(error)
        refusal.shared = True  # every process builds the same
        raise refusal from error
    finally:
        interrupt.restore()
