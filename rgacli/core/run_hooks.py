"""What watches over a run: signals, losses that are no numbers, checkpoints that fit in part, stale log lines."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from rgacli.core.checkpoints import misfits, state_dict
from rgacli.core.probes import truncate_metrics
from rgacli.errors import RunFailed


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
