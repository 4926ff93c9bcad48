"""What a trained detector's R-CNN heads send into its backbone, measured over images of a split as in training."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mmengine.config import Config
from torch import nn

from rgacli.config.dataset import dataset_config, require_classes
from rgacli.config.recipe import require_rcnn_heads
from rgacli.engine.reproducible import ITERATION, seeded, set_reproducible
from rgacli.engine.runner import QuietRunner, quiet_stdout
from rgacli.errors import UsageError
from rgacli.evaluation.detect import split_dataloader
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.modeling.build import build_detector
from rgacli.modeling.gradients import backbone_weight, gradients, measure_heads, rcnn_losses
from rgacli.progress import Progress

_OF_DATA = ("data_root", "ann_file", "data_prefix", "metainfo")


@dataclass(frozen=True)
class Measured:
    """What a detector's heads send into its backbone.

    Attributes:
        weight: Of the backbone.
        images: How many were looked at.
        batches: Of each batch, as `modeling.gradients.measure_heads`.
    """

    weight: str
    images: int
    batches: Sequence[Mapping[str, float]]


def measure(
    detector: SplitDetections,
    images: int,
    *,
    weight: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measured:
    """Return what the heads send into a weight of the backbone, batch by batch.

    Batches, augmentation and sampling are those of the training, and the weights stay as they are: a probe of the
    training at this checkpoint (`engine.gradient_probe`), time after time.

    Args:
        detector: A two-stage detector, and the split.
        images: How many to look at, in batches as large as in training; of a smaller split, all that training would
            look at in an epoch.
        weight: Of the backbone; see `modeling.gradients.backbone_weight`.
        seed: Of batches, augmentation and sampling.
        progress: Told of each batch.

    Raises:
        UsageError, DataError: the detector, the weight or the split cannot be used.
    """
    require_rcnn_heads(detector.cfg)
    require_classes(detector.cfg.model, detector.dataset, detector.annotations)
    cfg = _as_in_training(detector.cfg, detector.loader, seed)
    model = build_detector(cfg, detector.checkpoint)
    model.train()
    name, parameter = backbone_weight(model.backbone, weight, asked_by="weight")
    with quiet_stdout():
        loader = QuietRunner.build_dataloader(cfg.train_dataloader, seed=seed)
    size = loader.batch_sampler.batch_size
    batches = min(-(-images // size), len(loader))
    found, seen = [], 0
    for batch in islice(loader, batches):
        with seeded(ITERATION, seed, 0, len(found)):  # as training seeds its iterations
            found.append(_probe(model, parameter, batch))
        seen += len(batch["data_samples"])
        if progress:
            progress("gradients", len(found), batches)
    return Measured(name, seen, found)


def _probe(model: nn.Module, weight: nn.Parameter, batch: dict[str, Any]) -> dict[str, float]:
    data = model.data_preprocessor(batch, True)
    _, logged = model.parse_losses(model(**data, mode="loss"))
    parts = rcnn_losses(logged)
    return measure_heads(gradients(parts, weight), list(parts))


def _as_in_training(cfg: Config, split: str, seed: int) -> Config:
    """Return a config whose training is on a split, in this process; activations are kept for single gradients."""
    if not cfg.get("train_dataloader"):
        raise UsageError("the config has no train_dataloader, which says how images are put into batches.")
    cfg = copy.deepcopy(cfg)
    source, target = dataset_config(split_dataloader(cfg, split)), dataset_config(cfg.train_dataloader)
    target.update({key: source[key] for key in _OF_DATA if key in source})
    cfg.train_dataloader.num_workers = 0
    cfg.randomness = dict(seed=seed)
    set_reproducible(cfg)
    if cfg.model.backbone.get("with_cp"):
        cfg.model.backbone.with_cp = False
    return cfg
