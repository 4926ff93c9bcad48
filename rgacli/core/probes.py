"""What training records beside the losses: the draws each head really got, and how well it does on them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from mmdet.models.task_modules import SamplingResult
from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend
from torch import Tensor

from rgacli.files import write_text


@torch.no_grad()
def draw_statistics(cls_logits: Tensor, labels: Tensor, draws: list[SamplingResult]) -> dict[str, Tensor]:
    """The curves of the paper's Fig. 1(a) and Fig. 3 for one head and one batch.

    Args:
        cls_logits: (N, C+1), background last.
        labels: (N,), C for background.
        draws: One per image; together they hold the N RoIs.

    Returns:
        `positives` and `negatives`: sampled RoIs per image; `acc_pos` and `acc_neg`: percent of them classified
        rightly. An accuracy on nothing is left out.
    """
    num_positives = sum(len(draw.pos_inds) for draw in draws)
    num_negatives = sum(len(draw.neg_inds) for draw in draws)
    statistics = {
        "positives": torch.tensor(num_positives / len(draws)),
        "negatives": torch.tensor(num_negatives / len(draws)),
    }
    is_positive = labels < cls_logits.size(1) - 1
    is_right = cls_logits.argmax(dim=1) == labels
    # The numbers are known on the host from the draws' shapes: nothing here waits for the device.
    if num_positives:
        statistics["acc_pos"] = (is_right & is_positive).sum() * (100 / num_positives)
    if num_negatives:
        statistics["acc_neg"] = (is_right & ~is_positive).sum() * (100 / num_negatives)
    return statistics


@VISBACKENDS.register_module()
class JsonLinesVisBackend(BaseVisBackend):
    """mmengine visualisation backend that appends one JSON object per logged step to a file.

    Args:
        save_dir: Folder of the file.
        file_name: Its name.
    """

    def __init__(self, save_dir: str, file_name: str = "metrics.jsonl") -> None:
        super().__init__(save_dir)
        self.path = Path(save_dir) / file_name

    @property
    def experiment(self) -> JsonLinesVisBackend:
        """This backend itself: there is no other writer behind it."""
        return self

    def _init_env(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Appends {name: value, "step": step}."""
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        """Appends the scalars and the step they were logged at as one line."""
        line = {name: _json_number(value) for name, value in scalar_dict.items()}
        self._init_env()
        # One write of one line in append mode: a reader never sees half of it.
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "step": step}) + "\n")


def _json_number(value: Any) -> Any:
    """A plain number; None for what JSON has no number for (the AP of a size that no object has is NaN)."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def truncate_metrics(path: Path, iteration: int) -> None:
    """Drops the lines logged after `iteration`: a run resumed there logs them again."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line).get("step", 0) <= iteration]
    write_text(path, "".join(kept))
