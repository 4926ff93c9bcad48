"""What mmengine remembers of the values that it logs."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class LogHistoryHook(Hook):
    """Hook by which mmengine remembers of every logged value as much as a line of its log is made of, and no more.

    mmengine keeps the values of all iterations, copies them at each and writes them into each checkpoint: after 200,000
    iterations of two heads they are 70 MB. Its lines are means over a few of the last, or over an epoch.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self._longest: int | None = None  # None is without bound

    def before_train(self, runner: Runner) -> None:
        """Find out how many those are; all, where a line is made of all (`window_size="global"`)."""
        processor = runner.log_processor
        windows = [processor.window_size, *(custom.get("window_size") for custom in processor.custom_cfg)]
        batches = [len(loop.dataloader) for loop in (runner.train_loop, runner.val_loop) if loop is not None]
        if all(window == "epoch" or isinstance(window, int) for window in windows):
            self._longest = max([*batches, *(window for window in windows if window != "epoch")])

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Bound the values' histories, also those that were resumed or begun just now."""
        if self._longest is not None:
            for history in runner.message_hub.log_scalars.values():
                history.max_length = self._longest
