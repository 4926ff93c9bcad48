"""A detector in mmengine's loops that looks at images tile by tile."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample, SampleList
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from rgacli.evaluation.detections import by_size, detections_by_variant
from rgacli.evaluation.tiles import Tiles, Tiling, cut
from rgacli.evaluation.views import require_no_masks, with_variants

_AT_ONCE = 4  # tiles


class TiledViews:
    """See Views.

    Args:
        tiling: Where tiles lie.
    """

    def __init__(self, tiling: Tiling) -> None:
        self._tiling = tiling
        self.name = f"tiles-{tiling.size}-{tiling.overlap:g}"

    def pipeline(self, cfg: Config, pipeline: Sequence[Any]) -> list[Any]:
        """See Views."""
        loading, *steps = copy.deepcopy(list(pipeline))
        return [loading, dict(type="CutTiles", **asdict(self._tiling), transforms=steps)]

    def wrap(self, cfg: Config, model: nn.Module) -> nn.Module:
        """See Views."""
        require_no_masks(model, "tiles")
        return TiledModel(model, self._tiling)

    def settings(self, cfg: Config) -> Any:
        """See Views; a tiling is all in the pipeline."""
        return None


@TRANSFORMS.register_module()
class CutTiles(BaseTransform):
    """Transform from a loaded image to its tiles, each put through `transforms`.

    Args:
        size, overlap: As for Tiling.
        transforms: Configs of what makes an image the detector's input.
    """

    def __init__(self, size: int, overlap: float, transforms: Sequence[Any]) -> None:
        self._tiling, self._prepare = Tiling(size, overlap), Compose(transforms)

    def transform(self, results: dict[str, Any]) -> dict[str, Tiles]:
        """Return the tiles under "tiles", without annotations."""
        pixels = results["img"]
        about = {key: results[key] for key in ("img_id", "img_path")}
        boxes = self._tiling.boxes(*pixels.shape[:2])
        prepared = []
        for tile in cut(pixels, boxes):
            shape = tile.shape[:2]
            prepared.append(self._prepare({**about, "img": tile, "img_shape": shape, "ori_shape": shape}))
        return {"tiles": Tiles(boxes, prepared)}


class TiledModel(nn.Module):
    """Model that takes the tiles of images, and merges what each variant of a detector finds on them.

    Args:
        module: The detector.
        tiling: What merges.
    """

    def __init__(self, module: nn.Module, tiling: Tiling) -> None:
        super().__init__()
        self.module, self._tiling = module, tiling

    @torch.no_grad()
    def test_step(self, data: dict[str, Sequence[Tiles]]) -> SampleList:
        """Return a data sample per image; its detections are arrays of numpy."""
        return [self._detect(tiles) for tiles in data["tiles"]]

    def _detect(self, tiles: Tiles) -> DetDataSample:
        found = by_size(tiles.prepared, self._detect_alike)
        merged = {
            variant: InstanceData(**self._tiling.merge([own[variant] for own in found], tiles.boxes))
            for variant in found[0]
        }
        return with_variants(tiles.prepared[-1]["data_samples"], merged)

    def _detect_alike(self, tiles: Sequence[dict[str, Any]]) -> list[dict[str, dict[str, np.ndarray]]]:
        """Return variant -> detections of tiles of one input size."""
        found = []
        for start in range(0, len(tiles), _AT_ONCE):
            chunk = tiles[start : start + _AT_ONCE]
            batch = {key: [tile[key] for tile in chunk] for key in ("inputs", "data_samples")}
            found += [detections_by_variant(sample.to_dict()) for sample in self.module.test_step(batch)]
        return found
