"""Training through mmengine's Runner: our run layout, whole files, and resuming inside an epoch."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner

from rgacli.core.checkpoints import read_checkpoint
from rgacli.core.configs import BUILD_ERRORS, cannot_build
from rgacli.core.run_hooks import FiniteLossHook, InterruptHook, MisfitHook, ResumedMetricsHook
from rgacli.files import replacing


class QuietRunner(Runner):
    """mmengine's Runner, with its log in a file and only warnings on the terminal (stderr)."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """As Runner's, but for where messages go."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stderr)
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: "deprecated" not in record.getMessage())  # mmengine's, of itself
        return logger

    def dump_config(self) -> None:
        """The run directory holds the config already."""


def quiet_stdout() -> AbstractContextManager:
    """Keeps what pycocotools prints ("creating index...") off stdout, which belongs to tables and JSON."""
    return redirect_stdout(io.StringIO())


class AtomicBackend(LocalBackend):
    """mmengine file backend whose files appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes."""
        with replacing(filepath) as temporary:
            temporary.write_bytes(obj)


register_backend("atomic", AtomicBackend, force=True)


@HOOKS.register_module()
class RunCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, writing to `<out_dir>` itself, each file whole or not at all."""

    def __init__(self, out_dir: str, **kwargs: Any) -> None:
        super().__init__(out_dir=out_dir, backend_args=dict(backend="atomic"), **kwargs)
        self._folder = out_dir

    def before_train(self, runner: Runner) -> None:
        """As CheckpointHook's, without the extra folder level it adds."""
        super().before_train(runner)
        self.out_dir = self._folder


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's epoch loop, which on a resume goes on in the middle of an epoch where the checkpoint lies there."""

    def run_epoch(self) -> None:
        """One epoch, less the batches that were trained on before a resume."""
        done = self._iter - self._epoch * len(self.dataloader)
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for index, data_batch in enumerate(self.dataloader):
            if index >= done:
                self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


def prepare(cfg: Config, work_dir: Path, checkpoints: Path) -> None:
    """Points a training config at its run directory, in place. `cfg` stays reloadable on its own."""
    cfg.work_dir = str(work_dir / "logs")
    replaced = ("LocalVisBackend", "JsonLinesVisBackend")
    others = [backend for backend in cfg.get("vis_backends") or [] if backend["type"] not in replaced]
    cfg.vis_backends = [dict(type="JsonLinesVisBackend", save_dir=str(work_dir)), *others]
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
    cfg.default_hooks.checkpoint = dict(own, type="RunCheckpointHook", out_dir=str(checkpoints))
    # Validation is logged at its iteration, as training is, so that a resumed run can tell what came after it.
    cfg.default_hooks.setdefault("logger", dict(type="LoggerHook"))["log_metric_by_epoch"] = False
    if cfg.train_cfg.get("type", "EpochBasedTrainLoop") == "EpochBasedTrainLoop":
        cfg.train_cfg.type = "ResumableTrainLoop"


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
        RunFailed: the loss is no longer finite.
        UsageError: what the config describes cannot be built, or a checkpoint cannot be used.
    """
    cfg.load_from = str(resume_from) if resume_from else cfg.get("load_from")
    cfg.resume = resume_from is not None
    if cfg.load_from and "://" not in cfg.load_from:
        read_checkpoint(cfg.load_from)  # refuses a bad one before anything is written
    interrupt = InterruptHook(checkpoints)
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
        raise cannot_build(error) from error
    finally:
        interrupt.restore()
