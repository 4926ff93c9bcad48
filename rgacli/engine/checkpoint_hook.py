"""Writing a run's checkpoints: whole files, finite weights, and an old one goes only once the new one is there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mmengine.dist import all_reduce_params, barrier, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from rgacli.engine.distributed import bare, of_rank_0, together
from rgacli.errors import RunFailed, UsageError, gone
from rgacli.files import replacing, require_replaceable
from rgacli.modeling.checkpoints import DamagedCheckpoint, read_checkpoint
from rgacli.runs import BEST
from rgacli.wording import param


class AtomicBackend(LocalBackend):
    """mmengine file backend whose files appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Raises:
            RunFailed: the folder is gone. It is not made again: parts of a run are no use to anybody.
        """
        if not Path(filepath).parent.is_dir():
            raise gone(Path(filepath).parent)
        with replacing(filepath) as temporary:
            temporary.write_bytes(obj)


register_backend("atomic", AtomicBackend, force=True)

# Parts of a metric's name by which mmengine's hooks tell which of two values is better.
GREATER_IS_BETTER = [*CheckpointHook._default_greater_keys, "AP", "JI"]
LESS_IS_BETTER = [*CheckpointHook._default_less_keys, "mMR"]


class _LateRemoval(AtomicBackend):
    """A file backend that removes files when told to settle, not before."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[str] = []

    def remove(self, filepath: str | Path) -> None:
        self._due.append(str(filepath))

    def settle(self) -> None:
        while self._due:
            super().remove(self._due.pop())


@HOOKS.register_module()
class RunCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, writing to `<out_dir>` itself.

    mmengine removes the oldest checkpoint before it writes the newest: killed in between, a run that keeps one has
    none. Here it is written first. A checkpoint between two optimizer steps also holds the gradients accumulated so
    far (their mean over the processes), which a resumed run goes on from.

    With `save_best`, the weights of the best validation are kept as best.pth. That file alone says which is the best so
    far: a run that is killed, resumed or copied cannot disagree with it. Where `save_best` names several metrics, all
    of that is mmengine's, by its own file names.
    """

    _default_greater_keys = GREATER_IS_BETTER
    _default_less_keys = LESS_IS_BETTER

    def __init__(self, out_dir: str, **kwargs: Any) -> None:
        super().__init__(out_dir=out_dir, backend_args=dict(backend="atomic"), **kwargs)
        self._folder = out_dir
        self._gradients: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Extend CheckpointHook's, less the extra folder level it adds; remove what a killed run left half written.

        Raises:
            FileExistsError: where mmengine notes the last checkpoint there is no file, but a folder, or a FIFO.
        """
        super().before_train(runner)
        self.out_dir = self._folder
        self.file_backend = _LateRemoval()
        with together():
            best_score = self._saved_best()
        self._best_score = of_rank_0(best_score)
        if is_main_process():
            Path(self.out_dir).mkdir(parents=True, exist_ok=True)
            require_replaceable(Path(runner.work_dir) / "last_checkpoint")
            for half_written in Path(self.out_dir).glob(".*.pth"):  # by a run that was killed
                half_written.unlink()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that are not finite: the checkpoints before stay the last good ones."""
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise RunFailed(
                    f"the weights are not finite after iteration {checkpoint['meta']['iter']} ({name}), and are not "
                    f"saved: lower {param('lr')} or {param('lambda0')}."
                )
        if self._gradients:
            checkpoint["gradients"] = self._gradients
        if "best" in checkpoint["meta"]:  # nothing is resumed from it: weights are enough
            for part in checkpoint.keys() - {"meta", "state_dict"}:
                del checkpoint[part]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put accumulated gradients back, where it is this training that goes on."""
        saved = checkpoint.get("gradients", {}) if runner._resume else {}
        for name, parameter in bare(runner.model).named_parameters():
            if name in saved:
                parameter.grad = saved[name].to(parameter)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        announce(runner)
        self._gradients = _accumulated_gradients(runner)
        super()._save_checkpoint_with_step(runner, step, meta)
        self._gradients = {}
        self.file_backend.settle()
        barrier()  # a rank that a signal ends before it is written takes rank 0 down with it

    def after_past_validation(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the weights that a run resumes from, if they are the best and it was killed before it saved them."""
        if metrics["step"] == runner.iter:
            self.after_val_epoch(runner, metrics)

    def after_train(self, runner: Runner) -> None:
        """Save the end of a training that stopped early, where no checkpoint is due; publish as CheckpointHook does.

        On every rank all files are there then.
        """
        if runner.train_loop.stop_training and self.save_last and not self.has_saved(runner):
            self.save(runner)
        super().after_train(runner)
        barrier()  # other ranks look for the last checkpoint next, which rank 0 writes

    def has_saved(self, runner: Runner) -> bool:
        """Return whether the last checkpoint is of where a training stands, after an iteration; alike on all ranks."""
        noted = runner.message_hub.get_info("last_ckpt", "")  # in a resumed run as well
        return Path(noted).name == self.filename_tmpl.format(self._step(runner))

    def save(self, runner: Runner) -> None:
        """Save where a training stands, after an iteration (and the epoch that it ended); on all ranks."""
        self._save_checkpoint_with_step(runner, self._step(runner), dict(epoch=runner.epoch, iter=runner.iter))

    def _step(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        if len(self.save_best) > 1:
            super()._save_best_checkpoint(runner, metrics)
            self.file_backend.settle()
            return
        (metric,) = self.key_indicators
        if metric not in metrics:
            raise UsageError(f"save_best: validation gives no {metric}, but {', '.join(metrics)}.", shared=True)
        score, (rule,) = metrics[metric], self.rules
        best_score = self.init_value_map[rule] if self._best_score is None else self._best_score
        if score is None or not self.is_better_than[metric](score, best_score):
            return
        self._best_score = float(score)
        self.best_ckpt_path = str(Path(self.out_dir, BEST))
        about = dict(metric=metric, score=self._best_score, metrics=_numbers(metrics))
        runner.save_checkpoint(
            self.out_dir,
            BEST,
            save_optimizer=False,
            save_param_scheduler=False,
            meta=dict(epoch=runner.epoch, iter=runner.iter, best=about),
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
        )

    def _saved_best(self) -> float | None:
        """Return the score of best.pth; None where there is none, or the best of another metric."""
        path = Path(self.out_dir, BEST)
        if not (self.save_best and path.is_file()):
            return None
        try:
            about = read_checkpoint(path).get("meta", {}).get("best", {})
        except DamagedCheckpoint as error:
            raise DamagedCheckpoint(
                f"{error.message} Without {path} the run goes on, and keeps the best of the validations to come."
            ) from error
        return about.get("score") if about.get("metric") in self.key_indicators else None


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Return a validation's metrics as plain numbers; the log has None for NaN, and other things among them."""
    return {name: math.nan if value is None else float(value) for name, value in metrics.items() if "/" in name}


def run_checkpoints(runner: Runner) -> RunCheckpointHook:
    """Return the hook that writes a training's checkpoints."""
    return next(hook for hook in runner.hooks if isinstance(hook, RunCheckpointHook))


def announce(runner: Runner) -> None:
    """Tell every rank that a checkpoint of training follows, which mmengine's `before_save_checkpoint` tells one alone.

    A hook that has `before_checkpoint(runner)` is called, and may gather there what its ranks know.
    """
    runner.call_hook("before_checkpoint")


def _accumulated_gradients(runner: Runner) -> dict[str, Tensor]:
    """Return parameter -> gradient, the mean over all processes, if no step followed the last iteration."""
    if runner.optim_wrapper.should_update():
        return {}
    named = bare(runner.model).named_parameters()
    gradients = {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
    all_reduce_params(list(gradients.values()), op="mean")
    return {name: gradient.cpu() for name, gradient in gradients.items()}
