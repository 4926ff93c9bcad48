"""A trained detector and a split's batches: for what only a forward pass tells, and no detection does."""

from __future__ import annotations

from pathlib import Path

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from torch import nn
from torch.utils.data import DataLoader

from rgacli.engine.runner import QuietRunner, quiet_stdout
from rgacli.evaluation.detect import split_dataloader
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.modeling.build import build_detector


def model_and_batches(detector: SplitDetections, checkpoint: Path | None = None) -> tuple[nn.Module, DataLoader]:
    """Return the detector with its weights, in eval mode, and a dataloader of its split's images.

    Args:
        detector: The detector, and the split; its limits are raised to as many detections as count.
        checkpoint: Other weights of the same detector.

    Raises:
        UsageError, DataError: the checkpoint, the split or its annotations cannot be used.
    """
    detector.make_room()
    model = build_detector(detector.cfg, checkpoint or detector.checkpoint)
    with quiet_stdout():
        loader = QuietRunner.build_dataloader(split_dataloader(detector.cfg, detector.loader))
    return model, loader
