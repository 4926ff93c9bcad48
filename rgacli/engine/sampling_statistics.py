"""What the heads drew, and how well they did on it, over all iterations and processes since the last logged line."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

_IMAGES, _POSITIVES, _NEGATIVES, _RIGHT_POSITIVES, _RIGHT_NEGATIVES = range(5)


@HOOKS.register_module()
class SamplingStatisticsHook(Hook):
    """Hook that logs every head's `positives`, `negatives` (sampled RoIs per image), `acc_pos`, `acc_neg` (percent).

    A model tells them of one batch (`modeling.statistics`), and mmengine would log those of the last batch before a
    line, on the first process alone. Here numbers and hits are summed over the batches since the last line and over
    all processes, and then divided: the curves of the paper's Fig. 1(a) and Fig. 3. An accuracy on nothing is left
    out. A checkpoint holds the sums so far, so that a resumed run logs what it would have logged.
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[float | Tensor]] = defaultdict(lambda: [0.0] * 5)
        self._to_save: dict[str, Tensor] = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Add what the batch's outputs tell, and hand the means to mmengine where it logs next."""
        images = len(data_batch["data_samples"])
        for key in outputs:
            head, _, name = key.rpartition(".")
            if name == "positives":
                self._add(self._sums[head], outputs, head, images)
        if self._sums and self._is_logged(runner, batch_idx):
            self._hand_over(runner.message_hub)

    def before_checkpoint(self, runner: Runner) -> None:
        """Gather the sums, on all ranks (`checkpoint_hook.announce`)."""
        self._to_save = self._reduced()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the gathered sums into the checkpoint."""
        if self._to_save:
            checkpoint["sampling_statistics"] = self._to_save
            self._to_save = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on, on a resume, from the sums of all processes, which one of them takes over."""
        if runner._resume and is_main_process():
            for head, sums in checkpoint.get("sampling_statistics", {}).items():
                self._sums[head] = sums.tolist()

    @staticmethod
    def _add(sums: list[float | Tensor], outputs: dict[str, Any], head: str, images: int) -> None:
        # Wherever the values lie, they are added up there: nothing here waits for the device.
        positives, negatives = (images * outputs[f"{head}.{name}"] for name in ("positives", "negatives"))
        sums[_IMAGES] += images
        for place, number, right, accuracy in (
            (_POSITIVES, positives, _RIGHT_POSITIVES, "acc_pos"),
            (_NEGATIVES, negatives, _RIGHT_NEGATIVES, "acc_neg"),
        ):
            sums[place] = sums[place] + number
            if (percent := outputs.get(f"{head}.{accuracy}")) is not None:  # else there were none
                sums[right] = sums[right] + percent * (number.to(percent.device) / 100)

    def _hand_over(self, hub: MessageHub) -> None:
        for head, sums in self._reduced().items():
            images, positives, negatives, right_positives, right_negatives = sums.tolist()
            hub.update_scalar(f"train/{head}.positives", positives / images)
            hub.update_scalar(f"train/{head}.negatives", negatives / images)
            for name, right, number in (
                ("acc_pos", right_positives, positives),
                ("acc_neg", right_negatives, negatives),
            ):
                if number:
                    hub.update_scalar(f"train/{head}.{name}", 100 * right / number)
                else:  # else mmengine would log the value before
                    hub.log_scalars.pop(f"train/{head}.{name}", None)
        self._sums.clear()

    def _reduced(self) -> dict[str, Tensor]:
        """Return head -> sums (5,) over all processes, on the CPU in float64."""
        heads = sorted(self._sums)  # in the same order everywhere
        if not heads:
            return {}
        sums = torch.tensor([[float(value) for value in self._sums[head]] for head in heads], dtype=torch.float64)
        all_reduce(sums)
        return dict(zip(heads, sums, strict=True))

    def _is_logged(self, runner: Runner, batch_idx: int) -> bool:
        """Return whether mmengine's LoggerHook, which comes later, logs this iteration."""
        logger = next((hook for hook in runner.hooks if isinstance(hook, LoggerHook)), None)
        if logger is None:
            return False
        batches = len(runner.train_dataloader)
        at_the_end = batch_idx + 1 == batches and (not logger.ignore_last or batches <= logger.interval)
        return self.every_n_inner_iters(batch_idx, logger.interval) or at_the_end
