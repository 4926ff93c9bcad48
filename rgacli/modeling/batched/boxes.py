"""Boxes of several images at once: mmdet's arithmetic, in fewer operations and less memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_MOST_STRETCH = abs(math.log(16 / 1000))  # mmdet's wh_ratio_clip


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU (..., N, M) of boxes a (..., N, 4) and b (..., M, 4), xyxy; 0 where both are empty.

    As mmdet's `bbox_overlaps`.
    """
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    sides = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:]).sub_(low).clamp_(min=0)
    del low  # these are the largest tensors of a step
    overlap = sides[..., 0] * sides[..., 1]
    del sides
    area_a = area(a)
    area_b = area_a if a is b else area(b)
    union = (area_a[..., :, None] + area_b[..., None, :]).sub_(overlap).clamp_(min=1e-6)
    return overlap.div_(union)


def area(boxes: Tensor) -> Tensor:
    """Return the area (...) of boxes (..., 4) xyxy, in pixels²."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def encode(coder: Any, boxes: Tensor, objects: Tensor) -> Tensor:
    """Return the deltas (..., 4) that lead from boxes (..., 4) to objects (..., 4), as mmdet's DeltaXYWHBBoxCoder."""
    boxes, objects = boxes.float(), objects.float()
    size, object_size = boxes[..., 2:] - boxes[..., :2], objects[..., 2:] - objects[..., :2]
    shift = (objects[..., :2] + objects[..., 2:]).mul_(0.5).sub_((boxes[..., :2] + boxes[..., 2:]).mul_(0.5))
    deltas = torch.cat([shift.div_(size), object_size.div_(size).log_()], dim=-1)
    if any(coder.means):
        deltas -= constant(coder.means, boxes.device)
    return deltas.div_(constant(coder.stds, boxes.device))


def decode(coder: Any, boxes: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
    """Return boxes (..., 4) regressed by deltas (..., 4), as mmdet's DeltaXYWHBBoxCoder, inside their image.

    Args:
        coder: mmdet's, without `add_ctr_clamp`.
        boxes: (..., 4) xyxy.
        deltas: (..., 4).
        limits: Width, height, width, height of each box's image in pixels, to broadcast against `boxes`.
    """
    deltas = deltas * constant(coder.stds, deltas.device)
    if any(coder.means):
        deltas += constant(coder.means, deltas.device)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., :2] + boxes[..., 2:]).mul_(0.5) + size * deltas[..., :2]
    half = (size * deltas[..., 2:].clamp(-_MOST_STRETCH, _MOST_STRETCH).exp_()).mul_(0.5)
    found = torch.cat([centre - half, centre + half], dim=-1)
    return torch.minimum(found.clamp_(min=0), limits) if coder.clip_border else found


def take(values: Tensor, index: Tensor) -> Tensor:
    """Return the rows (..., S, 4) of values (..., N, 4) at index (..., S)."""
    return values.gather(-2, index[..., None].expand(*index.shape, values.size(-1)))


def as_rois(boxes: Tensor) -> Tensor:
    """Return RoIs (B·N, 5), image index and xyxy, of boxes (B, N, 4)."""
    image = torch.arange(len(boxes), dtype=boxes.dtype, device=boxes.device)
    return torch.cat([image[:, None, None].expand(-1, boxes.size(1), 1), boxes], dim=-1).view(-1, 5)


def constant(values: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers of the host's as a tensor (n,) that is made once for each device."""
    dtype = torch.long if all(isinstance(value, int) for value in values) else torch.get_default_dtype()
    return _constant(tuple(values), device, dtype)


@functools.lru_cache
def _constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # it outlives the block that asks for it first
        return torch.tensor(values, device=device, dtype=dtype)
