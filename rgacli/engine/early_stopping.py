"""Early stopping: a training ends where validation no longer improves."""

from __future__ import annotations

import math
from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rgacli.engine.annealing import GradientAnnealingHook
from rgacli.engine.checkpoint_hook import GREATER_IS_BETTER, LESS_IS_BETTER
from rgacli.engine.runner import is_by_iteration, moment
from rgacli.messages import tell


@HOOKS.register_module()
class PatienceHook(EarlyStoppingHook):
    """mmengine's EarlyStoppingHook, to which any higher value is better, and which a resumed run goes on with.

    Args:
        monitor: The metric, such as "coco/ensemble/AP".
        patience: Validations without a better value after which training ends.
    """

    _default_greater_keys = GREATER_IS_BETTER
    _default_less_keys = LESS_IS_BETTER

    def __init__(self, monitor: str, patience: int) -> None:
        # The smallest of differences, since mmengine takes an equal value for a better one.
        super().__init__(monitor, min_delta=1e-9, check_finite=False, patience=patience)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Stop the training if this validation is one too many."""
        score = metrics[self.monitor]
        if score is None or math.isnan(score):  # no value is no improvement
            score = -math.inf if self.rule == "greater" else math.inf
        stop, _ = self._check_stop_condition(score)
        if stop:
            runner.train_loop.stop_training = True
            tell(
                f"stopped after {moment(runner)}: no {self.monitor} better than {self.best_score:.3f} in "
                f"{self.wait_count} validations{_unfinished_annealing(runner)}"
            )

    def after_past_validation(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Count a validation from before a resume."""
        self.after_val_epoch(runner, metrics)


def _unfinished_annealing(runner: Runner) -> str:
    """Return what a reader has to know of λ, which anneals over the training that was planned."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, GradientAnnealingHook)), None)
    if hook is None or hook.rga.anneal == "none" or hook.rga.lambda0 == 1:
        return ""
    current = runner.message_hub.get_scalar("train/lambda").current()
    length = f"{runner.max_iters} iterations" if is_by_iteration(runner) else f"{runner.max_epochs} epochs"
    return (
        f". RGA's λ had come from {hook.rga.lambda0:g} to {current:.2f}: it would have been 1 at the end of all "
        f"{length}, so a shorter training that anneals to its end may be better still"
    )
