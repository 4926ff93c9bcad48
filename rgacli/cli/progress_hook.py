"""mmengine's Runner on our progress display. The one module of the commands that needs torch; imported when used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import Progress

from rgacli.cli.output import say
from rgacli.cli.progress import Meter


class ProgressHook(Hook):
    """Shows a Runner's training, validation and test.

    Args:
        progress: What `live_progress` yielded.
        heads: Slug -> name of each head whose sampled positives are shown.
    """

    priority = "VERY_LOW"

    def __init__(self, progress: Progress | None, heads: Mapping[str, str] | None = None) -> None:
        self._progress = progress
        self._heads = dict(heads or {})
        self._training: Meter | None = None
        self._evaluation: Meter | None = None  # set before each evaluation

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Starts the meter at the first batch, when all set-up is done."""
        if self._training is None:
            self._training = Meter(self._progress, "training", runner.max_iters)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Epoch, iteration, rate, ETA, loss, λ and sampled positives per image (of a cascade's first stage)."""
        scalars = runner.message_hub.log_scalars
        note = f"loss {float(outputs['loss'].detach()):.3f}"
        if "train/lambda" in scalars:
            note += f"  λ {scalars['train/lambda'].current():.2f}"
        if self._heads:
            drawn = {
                slug: outputs.get(f"{slug}.positives", outputs.get(f"s0.{slug}.positives")) for slug in self._heads
            }
            note += "  positives " + "  ".join(f"{name} {float(drawn[slug]):.1f}" for slug, name in self._heads.items())
        self._training.update(runner.iter + 1, note, title=f"epoch {runner.epoch + 1}/{runner.max_epochs}")

    def before_val_epoch(self, runner: Runner) -> None:
        """Starts the meter before the first batch."""
        self._evaluation = Meter(self._progress, "validation", len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        """Starts the meter before the first batch."""
        self._evaluation = Meter(self._progress, "evaluation", len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Batches validated."""
        self._evaluated(batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Batches evaluated."""
        self._evaluated(batch_idx + 1, len(runner.test_dataloader))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """The first metric (COCO's AP, CrowdHuman's mMR) of every variant, as a line that stays."""
        by_metric: dict[str, dict[str, float]] = {}
        for key, value in (metrics or {}).items():
            _, variant, metric = key.split("/")
            by_metric.setdefault(metric, {})[variant] = value
        metric, found = next(iter(by_metric.items()))
        order = [*self._heads, *(found.keys() - self._heads.keys())]  # the ensemble comes last
        shown = "  ".join(f"{self._heads.get(variant, variant)} {found[variant]:.3f}" for variant in order)
        say(f"epoch {runner.epoch}/{runner.max_epochs}  validation {metric}  {shown}")

    def _evaluated(self, done: int, total: int) -> None:
        self._evaluation.update(done)
        if done == total:
            self._evaluation.close()
