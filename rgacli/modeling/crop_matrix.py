"""RoIAlign as a sparse matrix, for CPUs.

With average pooling, a bin's feature is a weighted sum of pixels, and the weights depend on the RoI alone. So a crop is
S @ F, where F holds the pixels of all feature maps, one a row, and S has a row per bin; the gradient is S^T times the
crop's. A bin's samples are a product grid and bilinear weights are products, too, so a bin's row is the outer product
of its weights along y and along x: samples that share pixels are merged per axis, before any feature is read.
torchvision's CPU kernel reads four pixels for every sample instead, on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import embedding_bag

_NON_ZEROS = 1 << 22
"""Those of S that are held at once, in some 200 MB. The RoIs of a usual step have fewer."""


@dataclass(frozen=True)
class Sampling:
    """Where RoIAlign samples: on all levels the same, but for their scales."""

    bins: tuple[int, int]  # h, w
    scales: tuple[float, ...]  # of each level, from the image's pixels to the map's
    ratio: int  # samples per bin and axis; 0 or less: about one per pixel
    aligned: bool  # pixels' centres are at halves


@torch.compiler.disable  # its sizes are in the data: compiled, it would fall into a graph for each
def crop_by_matrix(maps: Sequence[Tensor], rois: Tensor, levels: Tensor, sampling: Sampling) -> Tensor:
    """Return RoI features (N, C, h, w); gradients reach the maps alone.

    Args:
        maps: Feature maps on the CPU, each (B, C, H, W), float32 or float64.
        rois: (N, 5), image index and xyxy in the image's pixels, of the maps' dtype.
        levels: (N,), index of the map that each RoI is cropped from; without such a map its features are zeros.
        sampling: Where to sample.
    """
    return _Crop.apply(_Bins.of(maps, rois.detach(), levels, sampling), *maps).unflatten(2, sampling.bins)


class _Crop(Function):
    @staticmethod
    def forward(ctx: Any, bins: _Bins, *maps: Tensor) -> Tensor:
        ctx.bins, ctx.like = bins, [torch.empty_like(level, device="meta") for level in maps]
        channels = maps[0].size(1)
        pixels = maps[0].new_empty(bins.columns, channels)
        for level, own in zip(maps, _per_level(pixels, maps), strict=True):
            own.copy_(level)
        crops = maps[0].new_empty(len(bins.first), channels, bins.per_roi)
        for rois, matrix in bins.matrices():
            crops[rois] = (matrix @ pixels).view(-1, bins.per_roi, channels).transpose(1, 2)
        return crops

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        bins, pixels = ctx.bins, None
        for rois, matrix in bins.matrices():
            found = matrix.transposed(bins.columns) @ gradient[rois].transpose(1, 2).flatten(0, 1)
            pixels = found if pixels is None else pixels.add_(found)
        if pixels is None:
            pixels = gradient.new_zeros(bins.columns, gradient.size(1))
        gradients = [torch.empty_like(level, device="cpu") for level in ctx.like]
        for level, own in zip(gradients, _per_level(pixels, gradients), strict=True):
            level.copy_(own)
        return None, *gradients


def _per_level(pixels: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Return views (B, C, H, W) of the rows of each map in pixels (P, C)."""
    rows = pixels.split([level.numel() // level.size(1) for level in maps])
    return [
        own.view(level.size(0), *level.shape[2:], -1).permute(0, 3, 1, 2) for own, level in zip(rows, maps, strict=True)
    ]


@dataclass(frozen=True)
class _Matrix:
    """A sparse matrix in compressed rows."""

    offsets: Tensor  # (rows + 1,)
    columns: Tensor  # (non-zeros,)
    weights: Tensor  # (non-zeros,)

    def __matmul__(self, dense: Tensor) -> Tensor:
        # Each row is summed by one thread, in order: the same bits on every run.
        return embedding_bag(
            self.columns, dense, self.offsets, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )

    def transposed(self, rows: int) -> _Matrix:
        owner, _ = _ragged(self.offsets.diff())
        columns, order = self.columns.sort(stable=True)
        return _Matrix(_offsets(columns.bincount(minlength=rows)), owner[order], self.weights[order])


@dataclass(frozen=True)
class _Taps:
    """The pixels that each bin reads along one axis: entries `start` to `start + count` of two lists."""

    starts: Tensor  # (N, bins)
    counts: Tensor  # (N, bins)
    pixels: Tensor  # (entries,)
    weights: Tensor  # (entries,)

    @classmethod
    def of(cls, start: Tensor, size: Tensor, bins: int, samples: Tensor, length: Tensor) -> _Taps:
        """Merge the two taps of every sample.

        Args:
            start, size: (N,), of each RoI in pixels of its map.
            bins: Per RoI.
            samples: (N,), per bin.
            length: (N,), of the map.
        """
        bin_size = size / bins
        owner, sample = _ragged(samples.repeat_interleave(bins))
        roi, nth = owner // bins, owner % bins
        # torchvision's order of operations: rounding decides on which side of a border a sample lies.
        at = start[roi] + nth * bin_size[roi] + (sample + 0.5) * bin_size[roi] / samples[roi]
        inside = (at >= -1) & (at <= length[roi])
        owner, roi, at = owner[inside], roi[inside], at[inside].clamp(min=0)
        last = length[roi] - 1
        low = torch.minimum(at.long(), last)
        high = torch.where(low < last, at - low, 0)
        weights = torch.stack([1 - high, high]) / samples[roi]
        width = int(length.max()) + 1 if len(length) else 1
        keys = owner * width + torch.stack([low, low + 1])
        keys, merged = keys[weights > 0].unique(return_inverse=True)
        weights = weights.new_zeros(len(keys)).index_add_(0, merged, weights[weights > 0])
        counts = (keys // width).bincount(minlength=len(start) * bins)
        starts = _offsets(counts)[:-1]
        return cls(starts.view(-1, bins), counts.view(-1, bins), keys % width, weights)


@dataclass(frozen=True)
class _Bins:
    """The rows of S, not yet multiplied out."""

    y: _Taps
    x: _Taps
    first: Tensor  # (N,), column of the first pixel of the RoI's own image and level
    widths: Tensor  # (N,), of the RoI's map
    columns: int

    @classmethod
    def of(cls, maps: Sequence[Tensor], rois: Tensor, levels: Tensor, sampling: Sampling) -> _Bins:
        known = (levels >= 0) & (levels < len(maps))
        levels = levels.where(known, 0)
        heights, widths = levels.new_tensor([level.shape[2:] for level in maps])[levels].unbind(1)
        offsets = _offsets(levels.new_tensor([level.numel() // level.size(1) for level in maps]))
        first = offsets[levels] + rois[:, 0].long() * heights * widths
        x1, y1, x2, y2 = (
            rois[:, 1:] * rois.new_tensor(sampling.scales)[levels, None] - (0.5 if sampling.aligned else 0.0)
        ).unbind(1)
        taps = []
        for start, end, bins, length in zip((y1, x1), (y2, x2), sampling.bins, (heights, widths), strict=True):
            size = end - start if sampling.aligned else (end - start).clamp(min=1)
            samples = (size / bins).ceil().long().clamp(min=0)
            if sampling.ratio > 0:
                samples = torch.full_like(samples, sampling.ratio)
            taps.append(_Taps.of(start, size, bins, samples.where(known, 0), length))
        return cls(*taps, first, widths, int(offsets[-1]))

    @property
    def per_roi(self) -> int:
        return self.y.counts.size(1) * self.x.counts.size(1)

    def matrices(self) -> Iterator[tuple[slice, _Matrix]]:
        """Yield S in parts: of which RoIs, and their rows."""
        non_zeros = (self.y.counts.sum(1) * self.x.counts.sum(1)).cumsum(0)
        _, sizes = (non_zeros // _NON_ZEROS).unique_consecutive(return_counts=True)
        begin = 0
        for size in sizes.tolist():
            rois = slice(begin, begin + size)
            yield rois, self._matrix(rois)
            begin += size

    def _matrix(self, rois: slice) -> _Matrix:
        y, x = self.y, self.x

        def per_row(values: Tensor) -> Tensor:
            return values.expand(-1, y.counts.size(1), x.counts.size(1)).reshape(-1)

        y_counts, y_starts = per_row(y.counts[rois, :, None]), per_row(y.starts[rois, :, None])
        x_counts, x_starts = per_row(x.counts[rois, None, :]), per_row(x.starts[rois, None, :])
        row, y_tap = _ragged(y_counts, y_starts)  # for every row of S, each line of pixels that its bin reads
        line = (
            per_row(self.first[rois, None, None])[row] + y.pixels[y_tap] * per_row(self.widths[rois, None, None])[row]
        )
        entry, x_tap = _ragged(x_counts[row], x_starts[row])  # for every such line, each of its pixels
        columns = line[entry] + x.pixels[x_tap]
        weights = y.weights[y_tap][entry] * x.weights[x_tap]
        return _Matrix(_offsets(y_counts * x_counts), columns, weights)


def _ragged(counts: Tensor, starts: Tensor | int = 0) -> tuple[Tensor, Tensor]:
    """Return (owner, number) of counts.sum() things: 0 0 1 1 1 and 4 5 8 9 10 for counts 2 3 that start at 4 8."""
    owner = torch.repeat_interleave(counts)
    return owner, (starts - _offsets(counts)[:-1])[owner] + torch.arange(len(owner))


def _offsets(counts: Tensor) -> Tensor:
    """Return where each begins if they are laid end to end, and the end of the last."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
