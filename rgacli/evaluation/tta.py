"""Test-time augmentation: mmdet's, of every variant (each head, the ensemble) of a detector."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, SampleList
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel
from torch import nn

from rgacli.config.files import BUILD_ERRORS, cannot_build
from rgacli.evaluation.views import require_no_masks, variants_of, with_instances, with_variants

SCALES = (1.0, 0.8, 1.2)
"""Of the input size, where the config has no `tta_pipeline`; each as it is and flipped."""

_FLIPS = (dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0))
_FLIP_KEYS = ("flip", "flip_direction")


class TestTimeAugmentation:
    """An image at several sizes, each flipped as well: the config's own `tta_pipeline` and `tta_model`, or the default.

    By default, boxes of all views are merged by the detector's own NMS, and as many are kept.
    """

    name = "tta"

    def pipeline(self, cfg: Config, pipeline: Sequence[Any]) -> list[Any]:
        """See Views."""
        return copy.deepcopy(list(cfg.get("tta_pipeline") or augmented(pipeline)))

    def wrap(self, cfg: Config, model: nn.Module) -> nn.Module:
        """See Views."""
        require_no_masks(model, "tta")
        try:
            merger = MODELS.build({**self.settings(cfg), "module": model})
        except BUILD_ERRORS as error:
            raise cannot_build(error) from error
        return VariantsTTAModel(merger)

    def settings(self, cfg: Config) -> Any:
        """See Views."""
        if cfg.get("tta_model"):
            return copy.deepcopy(cfg.tta_model)
        own = cfg.model.get("test_cfg") or {}
        own = own.get("rcnn") or own
        nms = own.get("nms") or dict(type="nms", iou_threshold=0.5)
        return ConfigDict(type="DetTTAModel", tta_cfg=dict(nms=nms, max_per_img=own.get("max_per_img", 100)))


class VariantsTTAModel(BaseTTAModel):
    """Model that has mmdet merge each variant's detections on the views of an image.

    Args:
        merger: mmdet's model for test-time augmentation, which merges one set of detections; it holds the detector.
    """

    def __init__(self, merger: BaseTTAModel) -> None:
        super().__init__(merger.module)
        self.merger = merger

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> SampleList:
        """Merge per image; see BaseTTAModel."""
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[DetDataSample]) -> DetDataSample:
        found = [variants_of(view) for view in views]
        merged = {}
        for variant in found[0]:
            samples = [with_instances(view, own[variant]) for view, own in zip(views, found, strict=True)]
            merged[variant] = self.merger.merge_preds([samples])[0].pred_instances
        return with_variants(views[0], merged)


def augmented(pipeline: Sequence[Any]) -> list[Any]:
    """Return a test pipeline at SCALES times its size, and flipped; one that does not resize is flipped alone."""
    loading, *steps = copy.deepcopy(list(pipeline))
    transforms, flipped = [], False
    for step in steps:
        is_resize = step["type"].rpartition(".")[2] == "Resize"
        if is_resize and not flipped:
            transforms += [[_scaled(step, scale) for scale in SCALES], list(_FLIPS)]  # flipped before it is padded
            flipped = True
            continue
        if step.get("meta_keys"):
            step["meta_keys"] = tuple(dict.fromkeys((*step["meta_keys"], *_FLIP_KEYS)))
        transforms.append([step])
    if not flipped:
        transforms.insert(0, list(_FLIPS))
    return [loading, dict(type="TestTimeAug", transforms=transforms)]


def _scaled(resize: Any, scale: float) -> Any:
    """Return a Resize to a size multiplied by `scale`."""
    resize = copy.deepcopy(resize)
    if resize.get("scale"):
        size = resize["scale"]
        sides = (size, size) if isinstance(size, (int, float)) else size
        resize["scale"] = tuple(round(side * scale) for side in sides)
    elif resize.get("scale_factor"):
        factor = resize["scale_factor"]
        resize["scale_factor"] = (
            tuple(f * scale for f in factor) if isinstance(factor, (list, tuple)) else factor * scale
        )
    return resize
