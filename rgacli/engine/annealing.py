"""R-CNN Gradient Annealing (RGA): paper Sec. 3.1, Eq. 1 and Appendix B."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from rgacli.engine.distributed import bare
from rgacli.method import ANNEAL_MODES

# Their step does not change when a gradient is multiplied by a constant, so λ has (nearly) no effect.
_SCALE_FREE = ("adam", "rmsprop", "adagrad", "adadelta", "adan", "lion", "lamb", "lars", "rprop")


def annealed_lambda(step: int, total_steps: int, lambda0: float, anneal: str = "linear") -> float:
    """λ(t) = λ0 − (λ0 − 1)·t/T (Eq. 1); with anneal "none" it stays at λ0 (Table 4's control).

    Args:
        step: t, optimizer steps done so far: 0 … T−1.
        total_steps: T, optimizer steps in all.
        lambda0: λ at t = 0, at least 1.
        anneal: "linear" or "none".
    """
    if anneal == "none":
        return lambda0
    return lambda0 - (lambda0 - 1) * step / total_steps


def optimizer_steps(iterations: int, accumulation: int) -> int:
    """Optimizer steps in a whole training of `iterations`: the last one may accumulate fewer iterations."""
    return -(-iterations // accumulation)


def rcnn_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that RGA scales: those of every bbox head (K of them, all cascade stages) of the RoI head.

    Raises:
        ValueError: the model has no RoI head with bbox heads (a one-stage detector).
    """
    bbox_head = getattr(getattr(bare(model), "roi_head", None), "bbox_head", None)
    if bbox_head is None:
        raise ValueError("RGA scales the gradients of R-CNN modules, and this model has none (no roi_head.bbox_head)")
    return [parameter for parameter in bbox_head.parameters() if parameter.requires_grad]


@HOOKS.register_module()
class GradientAnnealingHook(Hook):
    """Multiplies the gradients of the R-CNN modules by λ(t), after backward and before clipping.

    Only what lands on the bbox heads' own parameters is scaled: by then the gradient that flows into the backbone
    has been computed. λ is logged as `train/lambda`.

    Args:
        lambda0: λ at the first step; 1 is no RGA. The paper's value is 7.
        anneal: "linear" (down to 1 at the end) or "none" (stays at λ0).
    """

    def __init__(self, lambda0: float = 7.0, anneal: str = "linear") -> None:
        if lambda0 < 1:
            raise ValueError(f"lambda0 is {lambda0}; it must be at least 1 (1 is no RGA)")
        if anneal not in ANNEAL_MODES:
            raise ValueError(f"anneal is '{anneal}'; it can be {' or '.join(ANNEAL_MODES)}")
        self.lambda0 = float(lambda0)
        self.anneal = anneal
        self.current = self.lambda0

    def before_train(self, runner: Runner) -> None:
        """Puts the scaling between backward and the optimizer wrapper's step, which clips first thing."""
        parameters = rcnn_parameters(runner.model)
        optimizer = type(runner.optim_wrapper.optimizer).__name__
        if self.lambda0 != 1 and any(word in optimizer.lower() for word in _SCALE_FREE):
            print_log(
                f"{optimizer} divides a gradient by its own size and so cancels RGA's λ; use SGD with RGA.",
                logger="current",
                level=logging.WARNING,
            )
        self._wrapped_step = runner.optim_wrapper.step
        runner.optim_wrapper.step = self._scaling(self._wrapped_step, parameters)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Sets λ for the optimizer step that this iteration belongs to."""
        # From the iteration and not from a counter of ours, so that t continues after a resume.
        accumulation = _accumulation(runner.optim_wrapper)
        self.current = annealed_lambda(
            runner.iter // accumulation, optimizer_steps(runner.max_iters, accumulation), self.lambda0, self.anneal
        )
        runner.message_hub.update_scalar("train/lambda", self.current)

    def after_train(self, runner: Runner) -> None:
        """Gives the optimizer wrapper its own step back."""
        runner.optim_wrapper.step = self._wrapped_step

    def _scaling(self, step: Callable[..., None], parameters: list[nn.Parameter]) -> Callable[..., None]:
        @functools.wraps(step)  # keeps the mark by which mmengine's schedulers know that steps are counted
        @torch.no_grad()
        def scaled_step(**kwargs: Any) -> None:
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if gradients:  # none where the heads are frozen
                # A loss scaler's factor is still on the gradients here: it commutes with λ.
                torch._foreach_mul_(gradients, self.current)
            step(**kwargs)

        return scaled_step


def _accumulation(optim_wrapper: OptimWrapper) -> int:
    return optim_wrapper._accumulative_counts
