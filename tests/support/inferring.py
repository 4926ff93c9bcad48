"""A detector that finds something, and images for it."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.config import Config

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
