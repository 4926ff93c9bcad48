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
from rgacli.method import LAMBDA0, RGA

# Their step does not change when a gradient is multiplied by a constant, so λ has (nearly) no effect.
_SCALE_FREE = ("adam", "rmsprop", "adagrad", "adadelta", "adan", "lion", "lamb", "lars", "rprop")


def optimizer_steps(iterations: int, accumulation: int) -> int:
    """Return the optimizer steps in a whole training of `iterations`: the last one may accumulate fewer iterations."""
    return -(-iterations // accumulation)


def rcnn_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that RGA scales, frozen ones too: those of the R-CNN modules.

    They are the RoI head's bbox heads (K of them, all cascade stages) and its `shared_head`, where it has one: the
    paper's R-CNN module is all from RoI alignment to the final layers (Sec. 1), and in C4 detectors ResNet's last stage
    comes after it. A mask head is none of it, but a `shared_head` that it shares is.

    Raises:
        ValueError: the model has no RoI head with bbox heads (a one-stage detector).
    """
    roi_head = getattr(bare(model), "roi_head", None)
    modules = [getattr(roi_head, name, None) for name in ("bbox_head", "shared_head")]
    if modules[0] is None:
        raise ValueError("RGA scales the gradients of R-CNN modules, and this model has none (no roi_head.bbox_head)")
    return [parameter for module in modules if module is not None for parameter in module.parameters()]


@HOOKS.register_module()
class GradientAnnealingHook(Hook):
    """Hook that multiplies the gradients of the R-CNN modules by λ(t), after backward and before clipping.

    Only what lands on their own parameters (`rcnn_parameters`) is scaled: by then the gradient that flows into the
    backbone has been computed. λ is logged as `train/lambda`.

    Args:
        lambda0: λ at the first step; 1 is no RGA. The paper's value is 7.
        anneal: "linear" (down to 1 at the end) or "none" (stays at λ0).

    Raises:
        UsageError: a value is out of range.
    """

    def __init__(self, lambda0: float = LAMBDA0, anneal: str = "linear") -> None:
        self.rga = RGA(lambda0, anneal)
        self.current = self.rga.lambda0

    def before_train(self, runner: Runner) -> None:
        """Put the scaling between backward and the optimizer wrapper's step, which clips first thing."""
        parameters = rcnn_parameters(runner.model)
        optimizer = type(runner.optim_wrapper.optimizer).__name__
        if self.rga.lambda0 != 1 and any(word in optimizer.lower() for word in _SCALE_FREE):
            print_log(
                f"{optimizer} divides a gradient by its own size and so cancels RGA's λ; use SGD with RGA.",
                logger="current",
                level=logging.WARNING,
            )
        self._wrapped_step = runner.optim_wrapper.step
        runner.optim_wrapper.step = self._scaling(self._wrapped_step, parameters)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set λ for the optimizer step that this iteration belongs to."""
        # From the iteration and not from a counter of ours, so that t continues after a resume.
        accumulation = _accumulation(runner.optim_wrapper)
        self.current = self.rga.at(runner.iter // accumulation, optimizer_steps(runner.max_iters, accumulation))
        runner.message_hub.update_scalar("train/lambda", self.current)

    def after_train(self, runner: Runner) -> None:
        """Give the optimizer wrapper its own step back."""
        runner.optim_wrapper.step = self._wrapped_step

    def _scaling(self, step: Callable[..., None], parameters: list[nn.Parameter]) -> Callable[..., None]:
        @functools.wraps(step)  # keeps the mark by which mmengine's schedulers know that steps are counted
        @torch.no_grad()
        def scaled_step(**kwargs: Any) -> None:
            # Asked at each step: heads may be frozen for a while.
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if gradients:
                # A loss scaler's factor is still on the gradients here: it commutes with λ.
                torch._foreach_mul_(gradients, self.current)
            step(**kwargs)

        return scaled_step


def _accumulation(optim_wrapper: OptimWrapper) -> int:
    return optim_wrapper._accumulative_counts
