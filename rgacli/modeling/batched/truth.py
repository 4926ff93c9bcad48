"""The ground truth of a batch in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor


class Truth(NamedTuple):
    """Objects of B images, padded to the largest number G of them (at least 1).

    Attributes:
        boxes: (B, G, 4) xyxy; zeros where there is no object.
        labels: (B, G).
        valid: (B, G) bool, whether there is an object.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor


def padded_truth(samples: SampleList) -> Truth:
    """Return the `gt_instances` of a batch. Their numbers are known on the host, so nothing waits for the device."""
    boxes = [get_box_tensor(sample.gt_instances.bboxes) for sample in samples]
    counts = [len(own) for own in boxes]
    labels = [sample.gt_instances.labels for sample in samples]
    padding = sum(counts)  # the row of what is no object
    rows = np.full((len(counts), max(1, *counts)), padding)
    for row, count, start in zip(rows, counts, np.cumsum([0, *counts]), strict=False):
        row[:count] = np.arange(start, start + count)
    index = torch.from_numpy(rows).to(boxes[0].device, non_blocking=True)
    return Truth(
        torch.cat([*boxes, boxes[0].new_zeros(1, 4)])[index],
        torch.cat([*labels, labels[0].new_zeros(1)])[index],
        index < padding,
    )


def per_image(values: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    """Return numbers of the host's, (B, n), as a tensor of `like`'s type and device."""
    return torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True)
