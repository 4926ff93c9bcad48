"""What watches over a run: signals, losses that are no numbers, checkpoints that fit in part, stale log lines."""

from __future__ import annotations

import math
import os
import signal
import threading
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner
from torch import Tensor

from rgacli.engine.checkpoint_hook import announce, run_checkpoints
from rgacli.engine.distributed import bare, first_report, highest, of_rank_0
from rgacli.engine.metrics_log import is_validation, read_metrics, truncate_metrics
from rgacli.engine.runner import cannot_go_on, is_inside_epoch, is_validation_due, moment
from rgacli.errors import RunFailed, UsageError, gone
from rgacli.files import write_text
from rgacli.messages import tell
from rgacli.modeling.checkpoints import misfits, state_dict
from rgacli.wording import param


class Interrupted(RunFailed):
    """A run's end by a signal, which left a checkpoint."""

    exit_code = 130  # as shells report Ctrl-C


class InterruptHook(Hook):
    """Hook by which Ctrl-C (or SIGTERM) to any rank ends training after the next optimizer step, with a checkpoint."""

    priority = "LOWEST"

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self._signal = 0
        self._waits = False
        self._previous: dict[int, Any] = {}
        self.is_training = False  # all is built by then

    def before_train(self, runner: Runner) -> None:
        """Take over the signals; the second of them ends the process as usual."""
        self.is_training = True
        if threading.current_thread() is not threading.main_thread():
            return  # signals are the main thread's, whose program they end as it likes
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save and stop if a signal came and no gradients wait for their step."""
        number = highest(self._signal)
        if not number or not runner.optim_wrapper.should_update():
            return
        done = runner.iter + 1
        name = f"iter_{done}.pth"
        announce(runner)
        runner.save_checkpoint(str(self.checkpoints), name, by_epoch=False, backend_args=dict(backend="atomic"))
        if is_main_process():  # as mmengine's CheckpointHook notes its own
            write_text(Path(runner.work_dir) / "last_checkpoint", str(self.checkpoints / name))
        barrier()  # a rank that ends early takes the one that saves down with it
        raise Interrupted(f"stopped by {signal.Signals(number).name} after iteration {done}.", shared=True)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop a validation if a signal came.

        What was trained before it is saved first, where it is not yet. Several processes do that together, and not
        before all of them are through with the validation.
        """
        if not self._signal:
            return
        if get_world_size() == 1 or run_checkpoints(runner).has_saved(runner):
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # the weights that are trained take the average's place again
            self._stop_validating(runner, self._signal)
        elif not self._waits:
            self._waits = True
            name = signal.Signals(self._signal).name
            tell(f"{name}: the run stops once this validation is done, as its epoch has no checkpoint yet")

    def after_val(self, runner: Runner) -> None:
        """Save and stop after a validation that a signal came in, if what was trained before it is not saved."""
        number = highest(self._signal)
        if number and not run_checkpoints(runner).has_saved(runner):
            self._stop_validating(runner, number)

    def _stop_validating(self, runner: Runner, number: int) -> None:
        checkpoints = run_checkpoints(runner)
        if not checkpoints.has_saved(runner):
            checkpoints.save(runner)
        name = signal.Signals(number).name
        raise Interrupted(f"stopped by {name} while validating {moment(runner)}.", shared=True)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self._signal = number
        self.restore()


@FUNCTIONS.register_module()
def outlast_signals(worker_id: int) -> None:
    """Have a data-loading process end with its run and not before.

    Ctrl-C in a terminal and a batch system's SIGTERM reach all processes of a job at once, and a run whose data are no
    longer loaded does not get to its checkpoint. A SIGTERM of the run's own still ends the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS does not tell who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)


class FiniteLossHook(Hook):
    """Hook that stops every rank if the loss of one is no longer a number, before weights that it spoilt are saved.

    Looking at a loss waits for the device, so losses are looked at together: every ten iterations, and before a
    checkpoint is written. `found` tells of them in between, should the run fail by another error meanwhile.
    """

    every = 10

    def __init__(self) -> None:
        self._pending: list[tuple[int, dict[str, Tensor], list[Any]]] = []  # iteration, losses, image ids

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep the losses of the iteration just done, and check them when it is time."""
        losses = {name: value.detach() for name, value in outputs.items() if "loss" in name}
        images = [sample.metainfo.get("img_id") for sample in data_batch["data_samples"]]
        self._pending.append((runner.iter + 1, losses, images))
        if len(self._pending) >= self.every:
            self.check()

    def after_train(self, runner: Runner) -> None:
        """Check what is left."""
        self.check()

    def before_checkpoint(self, runner: Runner) -> None:
        """Check, on all ranks (`checkpoint_hook.announce`)."""
        self.check()

    def check(self) -> None:
        """Look at the losses since the last check, on all ranks.

        Raises:
            RunFailed: one is not finite; the first is named.
        """
        found = self.found()
        self._pending.clear()
        if report := first_report(*(found or (None,))):
            raise self.failure(report, shared=True)

    def found(self) -> tuple[str, int] | None:
        """Return what is to be told of the first loss of this rank that is not finite, and its iteration."""
        totals = [losses["loss"] for _, losses, _ in self._pending]
        if not totals or bool(torch.stack(totals).isfinite().all()):
            return None
        iteration, losses, images = next(one for one in self._pending if not math.isfinite(one[1]["loss"]))
        values = {name: value.item() for name, value in losses.items()}
        wrong = ", ".join(f"{name} {value}" for name, value in values.items() if not math.isfinite(value))
        ids = ", ".join(map(str, images))
        return f"the loss is not finite at iteration {iteration} ({wrong}; image ids {ids})", iteration

    @staticmethod
    def failure(report: str, *, shared: bool) -> RunFailed:
        """Return the error that a report makes; `shared` if every rank raises it."""
        return RunFailed(f"{report}: lower {param('lr')} or {param('lambda0')}.", shared=shared)


class RunGoneHook(Hook):
    """Hook that ends a run whose config was removed: what it left from then on, nothing could be made of.

    Args:
        config: The run's.
    """

    def __init__(self, config: Path) -> None:
        self.config = config

    def before_train(self, runner: Runner) -> None:
        """Look for it, on all ranks.

        Raises:
            RunFailed: it is not there.
        """
        if not of_rank_0(self.config.is_file()):
            raise gone(self.config, shared=True)

    def before_checkpoint(self, runner: Runner) -> None:
        """Do the same (`checkpoint_hook.announce`)."""
        self.before_train(runner)


# Parts of a checkpoint besides its weights, and what they are.
_OF_A_TRAINING = {"meta": dict, "optimizer": dict, "param_schedulers": (dict, list), "message_hub": dict}


class MisfitHook(Hook):
    """Hook that warns of weights in a checkpoint that the model does not take (mmengine prints them to stdout).

    A training does not go on from such a one: it would come to another end than the one that it was begun for.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare names and shapes, and look at the kinds of a training's state.

        Raises:
            UsageError: a training is to go on from it, and it does not fit, or what it has besides weights is none of a
                training.
        """
        found = "; it ".join(misfits(bare(runner.model).state_dict(), state_dict(checkpoint)))
        if found and runner._resume:
            raise UsageError(f"checkpoint {runner._load_from} does not fit the run's config: it {found}.", shared=True)
        for part, kind in _OF_A_TRAINING.items():
            if runner._resume and not isinstance(checkpoint.get(part, {}), kind):
                why = f"its {part} is of type {type(checkpoint[part]).__name__}"
                raise cannot_go_on(runner._load_from, why, shared=True)
        if found:
            runner.logger.warning(f"the checkpoint fits the model in part: it {found}.")


class ResumedMetricsHook(Hook):
    """Hook by which a resumed run goes on from its log, once the checkpoint is loaded and all else is ready.

    What was logged after the checkpoint is dropped: it is logged again. A hook that has `after_past_validation(runner,
    metrics)` is told of the validations before it, with the "step" of each. A validation that the run did not finish is
    made up for.
    """

    priority = "LOWEST"

    def __init__(self, metrics: Path) -> None:
        self.metrics = metrics

    def before_train(self, runner: Runner) -> None:
        """Do all that."""
        if is_main_process():
            truncate_metrics(self.metrics, runner.iter, validated=not is_inside_epoch(runner))
        past = of_rank_0([line for line in read_metrics(self.metrics) if is_validation(line)])
        for metrics in past:
            runner.call_hook("after_past_validation", metrics=metrics)
        if is_validation_due(runner) and not (past and past[-1]["step"] == runner.iter):
            runner.val_loop.run()
