"""An exponential moving average (EMA) of the weights, which is validated and saved in their place."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rgacli.errors import UsageError
from rgacli.modeling.checkpoints import state_dict
from rgacli.wording import param

MOMENTUM = 0.0002
"""mmdet's, of YOLOX and RTMDet."""


@HOOKS.register_module()
class StepEMAHook(EMAHook):
    """mmengine's EMAHook, which averages once for each optimizer step, however many iterations that accumulates.

    It starts from a file of nothing but weights as well.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Take new weights into the average, where there are new ones."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Start or go on from a checkpoint's weights."""
        super().after_load_checkpoint(runner, {**checkpoint, "state_dict": state_dict(checkpoint)})


def set_ema(cfg: Config, momentum: float | None) -> None:
    """Have a training config validate and save the average of its weights, in place.

    It is mmdet's ExpMomentumEMA: a step's weights enter with `momentum` and, early in the training, with far more.

    Raises:
        UsageError: the momentum is no small number above 0.
    """
    momentum = MOMENTUM if momentum is None else momentum
    if not 0 < momentum < 0.5:
        raise UsageError(
            f"{param('ema_momentum', format(momentum, 'g'))}: it is the share that new weights have in the average, "
            f"above 0 and below 0.5, such as {MOMENTUM:g} (which is a decay of {1 - MOMENTUM:g})."
        )
    hook = dict(type=StepEMAHook.__name__, ema_type="ExpMomentumEMA", momentum=momentum, update_buffers=True)
    others = [hook for hook in cfg.get("custom_hooks") or [] if not hook.type.endswith("EMAHook")]
    cfg.custom_hooks = [*others, hook]
