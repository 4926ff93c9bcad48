"""An RPN's proposals for a batch, in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
from mmengine.structures import InstanceData
from torch import Tensor


class Proposals(Sequence[InstanceData]):
    """P proposals of each of B images by falling score, and at the end padding: zeros.

    By index they are mmdet's `InstanceData` of one image, with `bboxes`, `scores` and `labels` (all 0), without the
    padding: how many there are is then waited for, once.

    Attributes:
        boxes: (B, P, 4) xyxy in the input image's pixels.
        scores: (B, P).
        valid: (B, P) bool, False for padding.
    """

    def __init__(self, boxes: Tensor, scores: Tensor, valid: Tensor) -> None:
        self.boxes, self.scores, self.valid = boxes, scores, valid
        self._counts: list[int] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @overload
    def __getitem__(self, image: int) -> InstanceData: ...
    @overload
    def __getitem__(self, image: slice) -> list[InstanceData]: ...
    def __getitem__(self, image: int | slice) -> InstanceData | list[InstanceData]:
        """Return the proposals of an image."""
        if isinstance(image, slice):
            return [self[i] for i in range(*image.indices(len(self)))]
        if self._counts is None:
            self._counts = self.valid.sum(dim=1).tolist()
        count = self._counts[range(len(self))[image]]
        boxes, scores = self.boxes[image, :count], self.scores[image, :count]
        return InstanceData(bboxes=boxes, scores=scores, labels=torch.zeros_like(scores, dtype=torch.long))
