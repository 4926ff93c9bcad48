"""What training records beside the losses: what each head really sampled, and how well it does on that."""

from __future__ import annotations

import torch
from mmdet.models.task_modules import SamplingResult
from torch import Tensor

from rgacli.modeling.batched.drawing import Draws
from rgacli.modeling.batched.rcnn import by_head


@torch.no_grad()
def sampling_statistics(
    cls_logits: Tensor, labels: Tensor, sampling_results: list[SamplingResult]
) -> dict[str, Tensor]:
    """Return the points of the curves of the paper's Fig. 1(a) and Fig. 3 for one head and one batch.

    Args:
        cls_logits: (N, C+1), background last.
        labels: (N,), C for background.
        sampling_results: One per image; together they hold the N RoIs.

    Returns:
        `positives` and `negatives`: sampled RoIs per image; `acc_pos` and `acc_neg`: percent of them classified
        rightly. An accuracy on nothing is left out.
    """
    num_positives = sum(len(result.pos_inds) for result in sampling_results)
    num_negatives = sum(len(result.neg_inds) for result in sampling_results)
    statistics = {
        "positives": torch.tensor(num_positives / len(sampling_results)),
        "negatives": torch.tensor(num_negatives / len(sampling_results)),
    }
    is_positive = labels < cls_logits.size(1) - 1
    is_right = cls_logits.argmax(dim=1) == labels
    # The numbers are known on the host from the samples' shapes: nothing here waits for the device.
    if num_positives:
        statistics["acc_pos"] = (is_right & is_positive).sum() * (100 / num_positives)
    if num_negatives:
        statistics["acc_neg"] = (is_right & ~is_positive).sum() * (100 / num_negatives)
    return statistics


@torch.no_grad()
def batched_statistics(hits: Tensor, draws: Draws) -> list[dict[str, Tensor]]:
    """Return what `sampling_statistics` does, of every head; an accuracy on nothing is 0.

    Args:
        hits: (K, B, S) bool, whether a RoI is classified rightly.
        draws: Which of them count, and as what.
    """
    images = draws.positives.size(1)
    positives, negatives = draws.positives.sum(dim=1), draws.negatives.sum(dim=1)  # (K,)
    right = hits.sum(dim=(1, 2))
    right_positives = (hits & draws.is_positive).sum(dim=(1, 2))
    return by_head(
        {
            "positives": positives / images,
            "negatives": negatives / images,
            "acc_pos": right_positives * 100 / positives.clamp(min=1),
            "acc_neg": (right - right_positives) * 100 / negatives.clamp(min=1),
        }
    )
