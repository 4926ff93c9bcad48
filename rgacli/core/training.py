"""Training through mmengine's Runner: our run layout, clean interruption, and resuming inside an epoch."""

from __future__ import annotations

import io
import logging
import math
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner

from rgacli.core.checkpoints import misfits, read_checkpoint, state_dict
from rgacli.core.configs import BUILD_ERRORS, cannot_build
from rgacli.core.probes import truncate_metrics
from rgacli.errors import RunFailed
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


class Interrupted(RunFailed):
    """The run was stopped by a signal and left a checkpoint."""

    exit_code = 130  # as shells report Ctrl-C


class InterruptHook(Hook):
    """Ctrl-C (or SIGTERM) ends the training after the current iteration, with a checkpoint to resume from."""

    priority = "LOWEST"

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self._signal: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def is_training(self) -> bool:
        """Whether all was built and the training has begun."""
        return bool(self._previous)

    def before_train(self, runner: Runner) -> None:
        """Takes over the signals; the second of them ends the process as usual."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Saves and stops if a signal came."""
        if self._signal is None:
            return
        done = runner.iter + 1
        name = f"iter_{done}.pth"
        runner.save_checkpoint(str(self.checkpoints), name, by_epoch=False, backend_args=dict(backend="atomic"))
        raise Interrupted(f"stopped by {signal.Signals(self._signal).name} after iteration {done}.")

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stops a validation: the epoch before it has its checkpoint."""
        if self._signal is not None:
            raise Interrupted(f"stopped by {signal.Signals(self._signal).name} while validating epoch {runner.epoch}.")

    def restore(self) -> None:
        """Gives the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self._signal = number
        self.restore()


class FiniteLossHook(Hook):
    """Stops a run whose loss is no longer a number, before the optimizer's damage is saved."""

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Checks the loss of the iteration just done."""
        if math.isfinite(outputs["loss"].item()):
            return
        wrong = ", ".join(name for name, value in outputs.items() if "loss" in name and not math.isfinite(value.item()))
        images = ", ".join(str(sample.metainfo.get("img_id")) for sample in data_batch["data_samples"])
        raise RunFailed(
            f"the loss is not finite at iteration {runner.iter + 1} ({wrong}; image ids {images}): lower --lr or "
            "--lambda0."
        )


class MisfitHook(Hook):
    """Warns of weights in a checkpoint that the model does not take (mmengine prints them to stdout)."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compares names and shapes."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found = "; it ".join(misfits(model, state_dict(checkpoint)))
        if found:
            runner.logger.warning(f"the checkpoint fits the model in part: it {found}.")


class ResumedMetricsHook(Hook):
    """Drops what was logged after the checkpoint that a run resumes from: those iterations are logged again."""

    def __init__(self, metrics: Path) -> None:
        self.metrics = metrics

    def before_train(self, runner: Runner) -> None:
        """By now the checkpoint is loaded. (Not earlier: Runner.train initialises weights before it loads them.)"""
        truncate_metrics(self.metrics, runner.iter)


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
