"""mmengine's Runner reporting its progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rgacli.messages import tell
from rgacli.progress import Progress

_SECONDS_BETWEEN_NOTES = 1.0


class ProgressHook(Hook):
    """Hook that reports a Runner's training, validation and test.

    Args:
        progress: What to report to; without, only the validations' results are told.
        heads: Slug -> name of each head whose sampled positives are shown.
    """

    priority = "VERY_LOW"

    def __init__(self, progress: Progress | None, heads: Mapping[str, str] | None = None) -> None:
        self._progress = progress
        self._heads = dict(heads or {})
        self._note, self._noted = "", -_SECONDS_BETWEEN_NOTES

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Report epoch, loss, λ and sampled positives per image (of a cascade's first stage).

        The loss lies on the device: looking at it waits for the step, so it is looked at once a second.
        """
        if not self._progress:
            return
        now = time.monotonic()
        if now - self._noted >= _SECONDS_BETWEEN_NOTES or runner.iter + 1 == runner.max_iters:
            self._note, self._noted = self._describe(runner, outputs), now
        self._progress("training", runner.iter + 1, runner.max_iters, self._note)

    def _describe(self, runner: Runner, outputs: dict[str, Any]) -> str:
        scalars = runner.message_hub.log_scalars
        note = f"epoch {runner.epoch + 1}/{runner.max_epochs}  loss {float(outputs['loss'].detach()):.3f}"
        if "train/lambda" in scalars:
            note += f"  λ {scalars['train/lambda'].current():.2f}"
        if self._heads:
            drawn = {
                slug: outputs.get(f"{slug}.positives", outputs.get(f"s0.{slug}.positives")) for slug in self._heads
            }
            note += "  positives " + "  ".join(f"{name} {float(drawn[slug]):.1f}" for slug, name in self._heads.items())
        return note

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Report the number of batches validated."""
        if self._progress:
            self._progress("validation", batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Report the number of batches evaluated."""
        if self._progress:
            self._progress("evaluation", batch_idx + 1, len(runner.test_dataloader))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Tell the first metric (COCO's AP, CrowdHuman's mMR) of every variant, as a line that stays."""
        by_metric: dict[str, dict[str, float]] = {}
        for key, value in (metrics or {}).items():
            _, variant, metric = key.split("/")
            by_metric.setdefault(metric, {})[variant] = value
        metric, found = next(iter(by_metric.items()))
        order = [*self._heads, *(found.keys() - self._heads.keys())]  # the ensemble comes last
        shown = "  ".join(f"{self._heads.get(variant, variant)} {found[variant]:.3f}" for variant in order)
        tell(f"epoch {runner.epoch}/{runner.max_epochs}  validation {metric}  {shown}")
