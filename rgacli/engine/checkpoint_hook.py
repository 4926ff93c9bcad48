"""Writing a run's checkpoints: whole files, finite weights, and an old one goes only once the new one is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import all_reduce_params, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from rgacli.engine.distributed import bare
from rgacli.errors import RunFailed
from rgacli.files import replacing
from rgacli.wording import param


class AtomicBackend(LocalBackend):
    """mmengine file backend whose files appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        with replacing(filepath) as temporary:
            temporary.write_bytes(obj)


register_backend("atomic", AtomicBackend, force=True)


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
    """

    def __init__(self, out_dir: str, **kwargs: Any) -> None:
        super().__init__(out_dir=out_dir, backend_args=dict(backend="atomic"), **kwargs)
        self._folder = out_dir
        self._gradients: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Extend CheckpointHook's, less the extra folder level it adds; remove what a killed run left half written."""
        super().before_train(runner)
        self.out_dir = self._folder
        self.file_backend = _LateRemoval()
        if is_main_process():
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

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put accumulated gradients back."""
        saved = checkpoint.get("gradients", {})
        for name, parameter in bare(runner.model).named_parameters():
            if name in saved:
                parameter.grad = saved[name].to(parameter)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        announce(runner)
        self._gradients = _accumulated_gradients(runner)
        super()._save_checkpoint_with_step(runner, step, meta)
        self._gradients = {}
        self.file_backend.settle()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self.file_backend.settle()


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
