"""The anchors of an RPN, made once for each shape of images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

Sizes = tuple[tuple[int, int], ...]
"""Height and width of each level's feature map."""

# Training at many scales sees many shapes; a shape's anchors take about ten megabytes.
_SHAPES_KEPT = 16
_kept: WeakKeyDictionary[nn.Module, OrderedDict[tuple, Anchors]] = WeakKeyDictionary()


class Places(NamedTuple):
    """Where the best `size` anchors of each of L levels stand in a table of levels.

    Attributes:
        counts: How many each level has of them.
        starts: (T,), of each of all their T = sum(counts), the first anchor of its level.
        table: (L, size), which of the T.
        missing: (L, size) bool, where a level has fewer.
    """

    counts: list[int]
    starts: Tensor
    table: Tensor
    missing: Tensor


class Anchors:
    """All A anchors of an image, level by level, in the order of an RPN's outputs: by row, column, shape.

    Attributes:
        boxes: (A, 4) xyxy.
        cells: (A, 2), x and y of each anchor's cell in the image: of its upper left corner.
        counts: How many each level has.
    """

    def __init__(self, boxes: Tensor, cells: Tensor, counts: list[int]) -> None:
        self.boxes, self.cells, self.counts = boxes, cells, counts
        self._places: dict[int, Places] = {}

    def places(self, limit: int) -> Places:
        """Return the table of the `limit` best of each level; below 1, of all."""
        if limit not in self._places:
            self._places[limit] = self._made(limit)
        return self._places[limit]

    def _made(self, limit: int) -> Places:
        counts = [min(count, limit) if limit > 0 else count for count in self.counts]
        firsts = torch.tensor([0, *self.counts[:-1]]).cumsum(0)
        starts = firsts.repeat_interleave(torch.tensor(counts))
        table = torch.full((len(counts), max(counts)), -1)
        for row, own in zip(table, torch.arange(len(starts)).split(counts), strict=True):
            row[: len(own)] = own
        device = self.boxes.device
        return Places(counts, starts.to(device), table.clamp(min=0).to(device), (table < 0).to(device))


def anchors(rpn_head: nn.Module, sizes: Sizes, device: torch.device) -> Anchors:
    """Return the anchors for feature maps of these sizes."""
    kept = _kept.setdefault(rpn_head, OrderedDict())
    key = (sizes, device)
    if key not in kept:
        kept[key] = _made(rpn_head.prior_generator, sizes, device)
        if len(kept) > _SHAPES_KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def allowed(found: Anchors, rpn_head: nn.Module, metas: Sequence[dict], limits: Tensor) -> Tensor:
    """Return which anchors may be assigned to something, (B, A) bool: those in the image, as mmdet has it.

    Args:
        found: The anchors.
        rpn_head: The head, whose `train_cfg.allowed_border` is asked; below 0, anchors may leave the image.
        metas: mmdet's, per image.
        limits: (B, 4), width, height, width, height of each image before padding, then (B, 2) of it padded.
    """
    inside = (found.cells < limits[:, None, 4:]).all(dim=-1)
    border = rpn_head.train_cfg["allowed_border"]
    if border < 0:
        return inside
    corners = (found.boxes[:, :2] >= -border).all(dim=-1) & (found.boxes[:, 2:] < limits[:, None, :2] + border).all(-1)
    return inside & corners


def _made(generator: nn.Module, sizes: Sizes, device: torch.device) -> Anchors:
    boxes, cells = generator.grid_priors(list(sizes), device=device), []
    for (height, width), stride, shapes in zip(sizes, generator.strides, generator.num_base_priors, strict=True):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        corner = torch.stack([x * stride[0], y * stride[1]], dim=-1).reshape(-1, 1, 2)
        cells.append(corner.expand(-1, shapes, -1).reshape(-1, 2).to(boxes[0]))
    return Anchors(torch.cat(boxes), torch.cat(cells), [len(level) for level in boxes])
