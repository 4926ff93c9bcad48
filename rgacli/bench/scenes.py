"""What contestants look at: images of the embedded dataset's kind, drawn at the benchmark's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from rgacli.data.scenes import draw_scene

OBJECTS = 8  # per image; one that finds no place is left out
_FAR_ABOVE = 1000  # a median of so many, cut off at OBJECTS, is OBJECTS in every image


@dataclass(frozen=True)
class Scene:
    """An image: `pixels` (3, H, W) uint8 RGB, its objects' `boxes` (G, 4) xyxy px, and their `labels` (G,)."""

    pixels: Tensor
    boxes: Tensor
    labels: Tensor


def draw(
    number: int,
    size: tuple[int, int],
    classes: int,
    *,
    seed: int = 0,
    most: int = OBJECTS,
    median: int = _FAR_ABOVE,
) -> list[Scene]:
    """Draw images.

    Args:
        number: How many.
        size: (height, width) px.
        classes: Labels are less than it.
        seed: What is drawn.
        most: The most objects in an image.
        median: What half the images have no more than.
    """
    height, width = size
    scenes = []
    for index in range(number):
        pixels, objects = draw_scene(np.random.default_rng([seed, index]), (width, height), most, median)
        boxes = torch.tensor([thing.bbox for thing in objects], dtype=torch.float32)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([thing.label % classes for thing in objects])
        scenes.append(Scene(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), boxes, labels))
    return scenes


def for_mmdet(scenes: Sequence[Scene], *, bgr: bool = True) -> dict[str, Any]:
    """Return a batch as mmdet's dataloaders yield it, on the host.

    Args:
        scenes: Its images.
        bgr: Whether the detector's preprocessor expects BGR, as images are read by OpenCV.
    """
    inputs = [scene.pixels.flip(0) if bgr else scene.pixels for scene in scenes]
    return dict(inputs=inputs, data_samples=[_sample(index, scene) for index, scene in enumerate(scenes)])


def _sample(index: int, scene: Scene) -> DetDataSample:
    shape = tuple(scene.pixels.shape[1:])
    meta = dict(img_id=index, img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
    sample = DetDataSample(metainfo=meta)
    sample.gt_instances = InstanceData(bboxes=scene.boxes.clone(), labels=scene.labels.clone())
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    return sample
