"""Measuring, while training, what each R-CNN head sends into the shared backbone (paper, Fig. 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn

from rgacli.config.files import BUILD_ERRORS, cannot_build
from rgacli.config.recipe import require_rcnn_heads
from rgacli.engine.distributed import bare, together
from rgacli.errors import UsageError
from rgacli.modeling.gradients import backbone_weight, gradients, measure_heads, rcnn_losses
from rgacli.wording import param

PREFIX = "gradient."
"""Of what is logged: "gradient.heads.1to9", … as `modeling.gradients.measure_heads` has it."""


@HOOKS.register_module()
class GradientProbeHook(Hook):
    """Hook that logs, every few iterations, the norms of the R-CNN heads' gradients at a backbone weight, their angle.

    They are of one iteration's batch (also where an optimizer step accumulates several), of all processes, and before
    RGA's λ, which never reaches the backbone. Each probe is a line of its own in the log. Training goes on as without,
    to the bit: gradients are asked for, and not accumulated, between the losses and their backward pass.

    Args:
        every: Iterations from one probe to the next.
        weight: Of the backbone; see `modeling.gradients.backbone_weight`.

    Raises:
        UsageError: `every` is below 1.
    """

    def __init__(self, every: int, weight: str | None = None) -> None:
        if type(every) is not int or every < 1:
            raise UsageError(f"{param('probe_gradients', every)}: it counts iterations, so it must be at least 1.")
        self.every = every
        self.weight = weight
        self._measured: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        """Put the probe where the model names its losses, outside of autocast and before the backward pass."""
        self._model = bare(runner.model)
        with together():
            if self.every > runner.max_iters:
                raise UsageError(
                    f"{param('probe_gradients', self.every)}: the training has {runner.max_iters} iterations, so that "
                    "nothing would be measured."
                )
            self._model.train()  # some backbones freeze their stages only there
            _, weight = backbone_weight(self._model.backbone, self.weight)
        self._parse_losses = self._model.parse_losses
        self._model.parse_losses = self._probing(runner, self._parse_losses, weight)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Log what was measured, now that the iteration is done."""
        if self._measured:
            runner.visualizer.add_scalars(self._measured, step=runner.iter + 1)
            self._measured = {}

    def after_train(self, runner: Runner) -> None:
        """Give the model its own function back."""
        self._model.parse_losses = self._parse_losses

    def _probing(
        self, runner: Runner, parse_losses: Callable[..., tuple[Tensor, dict[str, Tensor]]], weight: nn.Parameter
    ) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
        def probing_parse_losses(losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
            total, logged = parse_losses(losses)
            if self.every_n_train_iters(runner, self.every) and weight.requires_grad:
                scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
                parts = rcnn_losses(logged)
                found = gradients(parts, weight, scaler.get_scale() if scaler else 1.0)
                all_reduce(found, op="mean")  # as DistributedDataParallel does with what the optimizer gets
                told = measure_heads(found, list(parts))
                self._measured = {PREFIX + key: value for key, value in told.items()}
            return total, logged

        return probing_parse_losses


def set_gradient_probe(cfg: Config, every: int, weight: str | None = None) -> None:
    """Have a training config measure gradients, in place.

    Args:
        cfg: A training config, its backbone frozen as it is to be.
        every, weight: As for GradientProbeHook; the weight is chosen now.

    Raises:
        UsageError: there are no R-CNN heads, or the weight cannot be looked at.
    """
    GradientProbeHook(every)
    require_rcnn_heads(cfg)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    try:
        with torch.random.fork_rng(devices=()):  # no random number is drawn that would be drawn without
            backbone = MODELS.build(dict(cfg.model.backbone, init_cfg=None))
    except BUILD_ERRORS as error:
        raise cannot_build(error) from error
    backbone.train()  # mmdet's returns nothing
    name, _ = backbone_weight(backbone, weight)
    others = [hook for hook in cfg.get("custom_hooks") or [] if hook.type != GradientProbeHook.__name__]
    cfg.custom_hooks = [*others, dict(type=GradientProbeHook.__name__, every=every, weight=name)]
