"""A detector that finds something, and images for it."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from rgacli.evaluation.detections import Detections
from rgacli.inference.detector import ImageDetector
from tests.support import tiny


def pixels(height=48, width=64, seed=0):
    """Random blocks of colour: uint8 BGR."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return small.repeat(8, axis=0).repeat(8, axis=1)


def save(model, path):
    """A checkpoint of the config's model with random weights under which it finds something."""
    torch.save({"state_dict": tiny.scramble(tiny.build(model)).state_dict()}, path)
    return path


def config(run):
    """A run's config, without the threshold below which nothing is found."""
    cfg = Config.fromfile(run / "config.py")
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    return cfg


class BrightnessDetector(ImageDetector):
    """Finds one object on each image, as large as it: "bright" or "dark", as surely as it is bright.

    The head 1:9 is half as sure as the head 1:1. Images are resized as for a true detector.
    """

    def __init__(self):
        init_default_scope("mmdet")
        resize = dict(type="Resize", scale=(64, 64), keep_ratio=True)
        pipeline = [dict(type="LoadImageFromFile"), resize, dict(type="PackDetInputs")]
        super().__init__({"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}, ("dark", "bright"), pipeline)
        self.batches = []

    def detect(self, images):
        """As for any detector; `batches` keeps the number of images of each call."""
        self.batches.append(len(images))
        found = []
        for image in images:
            height, width = image["data_samples"].ori_shape
            brightness = image["inputs"].float().mean().item() / 255
            boxes, labels = np.array([[0, 0, width, height]], np.float32), np.array([int(brightness > 0.5)])
            scores = {"1:1": brightness, "1:9": brightness / 2, "ensemble": brightness}
            found.append(
                {head: Detections(boxes, np.array([score]), labels, self.classes) for head, score in scores.items()}
            )
        return found
