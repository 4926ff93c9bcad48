"""A detector that takes a training step in milliseconds, and data for it."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import rgacli.core  # noqa: F401  (registers the parts)
from rgacli.config.dataset import set_dataset
from rgacli.config.files import load_config
from rgacli.data.layout import find_dataset
from rgacli.engine.training import set_run_folder
from rgacli.evaluation.variants_metric import set_evaluators

SIZE = 64
CLASSES = 3
CHANNELS = 16
STRIDES = (4, 8, 16, 32)


@functools.cache
def _config() -> Config:
    cfg = load_config("quickstart")
    cfg.merge_from_dict(
        {
            "model.backbone.base_channels": 8,
            "model.neck.in_channels": [8, 16, 32, 64],
            "model.neck.out_channels": CHANNELS,
            "model.rpn_head.in_channels": CHANNELS,
            "model.rpn_head.feat_channels": CHANNELS,
            "model.roi_head.bbox_roi_extractor.out_channels": CHANNELS,
            "model.roi_head.bbox_head.in_channels": CHANNELS,
            "model.roi_head.bbox_head.fc_out_channels": 32,
            "model.roi_head.bbox_head.num_classes": CLASSES,
            "model.train_cfg.rpn.sampler.num": 16,
            "model.train_cfg.rpn_proposal": {"nms_pre": 40, "max_per_img": 20},
            "model.train_cfg.rcnn.sampler.num": 16,
            "model.test_cfg.rpn": {"nms_pre": 40, "max_per_img": 20},
        }
    )
    return cfg


def tiny_config(**roi_head) -> Config:
    """The quickstart's config, shrunk; `roi_head` are arguments of ParallelRoIHead."""
    cfg = copy.deepcopy(_config())
    cfg.model.roi_head.update(roi_head)
    return cfg


def stock_config(fraction: float = 0.25) -> Config:
    """The same detector with mmdet's own RoI head."""
    cfg = tiny_config()
    cfg.model.roi_head.type = "StandardRoIHead"
    del cfg.model.roi_head["ratios"]
    cfg.model.train_cfg.rcnn.sampler.pos_fraction = fraction
    return cfg


def build(model: ConfigDict, seed: int = 0) -> torch.nn.Module:
    """A freshly initialised model in training mode."""
    MMLogger.get_current_instance().setLevel("WARNING")  # else it lists how each weight was initialised
    init_default_scope("mmdet")
    torch.manual_seed(seed)
    built = MODELS.build(copy.deepcopy(model))
    built.init_weights()
    return built.train()


def batch(counts: tuple[int, ...] = (2, 1), seed: int = 0, masks: bool = False) -> dict:
    """Random images with `counts` random objects each, as a dataloader yields them; `masks` gives each an ellipse."""
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 255, (3, SIZE, SIZE), dtype=torch.uint8, generator=generator) for _ in counts]
    return dict(inputs=images, data_samples=[_sample(i, n, generator, masks) for i, n in enumerate(counts)])


def boxes(number: int, generator: torch.Generator) -> torch.Tensor:
    """(number, 4) xyxy boxes of 8 to 32 pixels inside an image."""
    corners = torch.rand(number, 2, generator=generator) * (SIZE - 32)
    return torch.cat([corners, corners + 8 + 24 * torch.rand(number, 2, generator=generator)], dim=1)


def ellipses(bboxes: torch.Tensor) -> BitmapMasks:
    """One mask per box (N, 4): the ellipse that fills it."""
    centres = (bboxes[:, None, None, :2] + bboxes[:, None, None, 2:]) / 2
    radii = (bboxes[:, None, None, 2:] - bboxes[:, None, None, :2]) / 2
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([x, y], dim=-1) + 0.5
    inside = (((pixels - centres) / radii) ** 2).sum(dim=-1) <= 1
    return BitmapMasks(inside.numpy().astype(np.uint8), SIZE, SIZE)


def _sample(index: int, number: int, generator: torch.Generator, masks: bool) -> DetDataSample:
    sample = DetDataSample(
        metainfo=dict(img_id=index, img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0))
    )
    labels = torch.randint(0, CLASSES, (number,), generator=generator)
    sample.gt_instances = InstanceData(bboxes=boxes(number, generator), labels=labels)
    if masks:
        sample.gt_instances.masks = ellipses(sample.gt_instances.bboxes)
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    return sample


def losses(model: torch.nn.Module, data: dict, seed: int = 0) -> dict[str, torch.Tensor]:
    """One training forward pass; what the samplers draw depends on the seed alone."""
    torch.manual_seed(seed)
    return model(**model.data_preprocessor(copy.deepcopy(data), True), mode="loss")


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a model's weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def build_roi_head(cfg: Config, seed: int = 0) -> torch.nn.Module:
    """The detector's RoI head alone, with random weights large enough for its heads to differ."""
    model = cfg.model
    head = build(ConfigDict(model.roi_head, train_cfg=model.train_cfg.rcnn, test_cfg=model.test_cfg.rcnn), seed)
    return scramble(head, seed)


def scramble(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights under which scores and boxes vary from RoI to RoI."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return module


def features(images: int = 2, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Random feature maps (images, CHANNELS, SIZE/stride, SIZE/stride), leaves that gradients reach."""
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(images, CHANNELS, SIZE // stride, SIZE // stride, generator=generator) for stride in STRIDES]
    return tuple(level.requires_grad_() for level in maps)


def proposals(samples: list[DetDataSample], near: int = 6, elsewhere: int = 30, seed: int = 0) -> list[InstanceData]:
    """Per image: `near` proposals jittered about each object, and `elsewhere` random ones."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for sample in samples:
        objects = sample.gt_instances.bboxes.repeat_interleave(near, dim=0)
        jittered = objects + torch.randn(objects.shape, generator=generator)
        bboxes = torch.cat([jittered, boxes(elsewhere, generator)]).clamp(0, SIZE)
        found.append(
            InstanceData(bboxes=bboxes, scores=torch.rand(len(bboxes)), labels=torch.zeros(len(bboxes)).long())
        )
    return found


def training_config(dataset: Path, run: Path, **settings) -> Config:
    """A prepared config: 4 training images one at a time, a line logged per iteration, a checkpoint per epoch."""
    cfg = tiny_config()
    set_dataset(cfg, find_dataset(dataset))
    cfg.merge_from_dict(
        {
            "train_dataloader": dict(batch_size=1, num_workers=0, persistent_workers=False),
            "val_dataloader": dict(batch_size=2, num_workers=0, persistent_workers=False),
            "test_dataloader": dict(num_workers=0, persistent_workers=False),
            "train_cfg": dict(max_epochs=3, val_interval=10),
            "default_hooks.logger.interval": 1,
            "log_processor.window_size": 1,
            "randomness": dict(seed=0),
            **settings,
        }
    )
    cfg.param_scheduler = [
        dict(type="LinearLR", by_epoch=False, start_factor=0.5, end=3),
        dict(type="CosineAnnealingLR", by_epoch=True, T_max=3, convert_to_iter_based=True),
    ]
    set_evaluators(cfg)
    set_run_folder(cfg, run, run / "checkpoints")
    return cfg
