"""What a detector makes of an image that it looks at several times over: augmented, or tile by tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from rgacli.errors import UsageError
from rgacli.method import ENSEMBLE, WHOLE
from rgacli.wording import param


class Views(Protocol):
    """A way of looking at an image several times.

    Attributes:
        name: What tells its detections from others; a folder's name ends in it.
    """

    name: str

    def pipeline(self, cfg: Config, pipeline: Sequence[Any]) -> list[Any]:
        """Return mmdet's transforms from an image file to all its views.

        Args:
            cfg: The detector's config.
            pipeline: Its transforms from an image file to a single input.
        """
        ...

    def wrap(self, cfg: Config, model: nn.Module) -> nn.Module:
        """Return the detector as one that takes all views of an image, and merges what it finds.

        Raises:
            UsageError: its detections cannot be merged.
        """
        ...

    def settings(self, cfg: Config) -> Any:
        """Return what merging depends on; JSON can hold it."""
        ...


def variants_of(sample: DetDataSample) -> dict[str, InstanceData]:
    """Return a predicted data sample's detections by variant; WHOLE of a model that keeps no heads."""
    kept = sample.get("head_instances")
    return dict(kept.items()) if kept else {WHOLE: sample.pred_instances}


def with_instances(sample: DetDataSample, instances: InstanceData) -> DetDataSample:
    """Return a data sample of the same image with these detections."""
    other = DetDataSample(metainfo=sample.metainfo)
    other.pred_instances = instances
    return other


def with_variants(sample: DetDataSample, found: Mapping[str, InstanceData]) -> DetDataSample:
    """Return a data sample of the same image with these variants' detections."""
    other = with_instances(sample, found.get(ENSEMBLE, next(iter(found.values()))))
    other.head_instances = BaseDataElement()
    for variant, instances in found.items():
        other.head_instances.set_field(instances, variant)
    return other


def require_no_masks(model: nn.Module, parameter: str) -> None:
    """Raise a UsageError for a detector that makes masks, which no merging here keeps."""
    if getattr(model, "with_mask", False):
        raise UsageError(f"{param(parameter)}: it merges boxes, and this detector makes masks; leave it out.")
