"""RoI features from all levels at once: what SingleRoIExtractor gives, without its cost.

On the CPU a crop is a product with a sparse matrix. On other devices each level's RoIAlign sees all RoIs, those of
other levels shrunk to nothing: so the host waits for nothing, and launches depend neither on the RoIs nor on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn
from torchvision.ops import roi_align

from rgacli.compat import native_ops
from rgacli.compat.native_ops import wide
from rgacli.modeling.batched.boxes import constant
from rgacli.modeling.crop_matrix import Sampling, crop_by_matrix
from rgacli.modeling.waiting import is_free

_ON_TORCHVISION = native_ops.origin() == "torchvision"


def crop(extractor: nn.Module, x: Sequence[Tensor], rois: Tensor) -> Tensor:
    """Return RoI features (N, C, h, w) as the extractor gives them, to float rounding, and so are the gradients.

    Only SingleRoIExtractor with average-pooling RoIAlign is replaced; any other is called, and every one in a trace.
    Under mixed precision RoIs stay as exact as they come: the extractor rounds them as feature maps are, which in
    bfloat16 moves a box beyond pixel 512 by up to 2 pixels, and one beyond 1024 by up to 4.

    Args:
        extractor: mmdet's, or one of its kind.
        x: Feature maps, each (B, C, H, W), one for each of the extractor's levels.
        rois: (N, 5), image index and xyxy in the image's pixels.
    """
    sampling = sampling_of(extractor)
    if sampling is None or torch.jit.is_tracing():  # a traced graph is to have the op that others know
        return extractor(x, rois)
    return (crop_on_cpu if rois.is_cpu and is_free(rois) else crop_without_sync)(extractor, sampling, x, rois)


def crop_on_cpu(extractor: SingleRoIExtractor, sampling: Sampling, x: Sequence[Tensor], rois: Tensor) -> Tensor:
    """See crop."""
    maps = [wide(level) for level in x]
    rois = rois.type_as(maps[0])
    return crop_by_matrix(maps, rois, _levels(extractor, x, rois), sampling).type_as(x[0])


def crop_without_sync(extractor: SingleRoIExtractor, sampling: Sampling, x: Sequence[Tensor], rois: Tensor) -> Tensor:
    """See crop. On any device."""
    layers, maps = extractor.roi_layers, [wide(level) for level in x]
    rois = rois.type_as(maps[0])
    if len(x) == 1:
        return _align(layers[0], maps[0], rois).type_as(x[0])
    own = _levels(extractor, x, rois) == torch.arange(len(x), device=rois.device)[:, None]
    rois = torch.where(own[..., None], rois, 0)
    crops = [_align(layer, level, inside) for layer, level, inside in zip(layers, maps, rois, strict=False)]
    if sampling.aligned and sampling.ratio == 0:  # no samples between equal corners: zeros, for next to nothing
        total = reduce(torch.add, crops)
    else:
        total = crops[0].new_zeros(())
        for mask, found in zip(own, crops, strict=True):
            total = torch.where(mask[:, None, None, None], found, total)
    return total.type_as(x[0])


def _align(layer: RoIAlign, level: Tensor, rois: Tensor) -> Tensor:
    """Return the layer's output; in one launch, without the buffers mmcv makes, where its ops are torchvision's."""
    if not _ON_TORCHVISION:
        return layer(level, rois)
    return roi_align(level, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)


def _levels(extractor: SingleRoIExtractor, x: Sequence[Tensor], rois: Tensor) -> Tensor:
    if len(x) == 1:
        return rois.new_zeros(len(rois), dtype=torch.long)
    # As `map_roi_levels`, whose logarithms of scales are asked for whole numbers alone. What has no scale has no level.
    area = (rois[:, 3:] - rois[:, 1:3]).prod(dim=1)
    edges = tuple((extractor.finest_scale * (2.0**level - 1e-6)) ** 2 for level in range(1, len(x)))
    levels = torch.bucketize(area, constant(edges, rois.device).to(area.dtype), right=True)
    return levels.masked_fill_(~(area >= 0), -1)


def sampling_of(extractor: nn.Module) -> Sampling | None:
    """Return where a plain SingleRoIExtractor samples, or None for any other extractor."""
    if type(extractor) is not SingleRoIExtractor:
        return None
    layers = list(extractor.roi_layers)
    if any(type(layer) is not RoIAlign or layer.pool_mode != "avg" for layer in layers):
        return None
    settings = {(tuple(layer.output_size), max(layer.sampling_ratio, 0), layer.aligned) for layer in layers}
    if len(settings) != 1:
        return None
    ((bins, ratio, aligned),) = settings
    return Sampling(bins, tuple(layer.spatial_scale for layer in layers), ratio, aligned)
