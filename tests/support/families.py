"""mmdet's own configs, shrunken until a training step takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.config import Config

from rgacli.config.dataset import dataset_config
from rgacli.config.files import load_config
from tests.support import tiny

_STAGES = {256: 8, 512: 16, 1024: 32, 2048: 64}
"""ResNet-50's channels at the end of each stage -> those of a ResNet-18 of 8 base channels."""
_WIDTHS = {256: 16, 512: 32, 1024: 32}
"""Channels of necks and heads."""
_FEW = {"num": 16, "nms_pre": 40, "max_per_img": 20, "num_proposals": 20, "num_convs": 2}


def family(name: str) -> Config:
    """The config `mmdet::NAME.py`, from scratch, with tiny.CLASSES classes."""
    return shrunken(load_config(f"mmdet::{name}.py"))


def shrunken(cfg: Config) -> Config:
    """The config itself, made so."""
    model = cfg.model
    _walk(model, _few)
    if model.backbone.type != "ResNet":
        return cfg
    model.backbone.update(depth=18, frozen_stages=-1)
    if "neck" in model:
        model.backbone.base_channels = 8
        pyramid = model.neck[0] if isinstance(model.neck, list) else model.neck
        stages = [_STAGES[channels] for channels in pyramid.in_channels]
        _walk(model, lambda key, value: _WIDTHS.get(value, value) if _is_width(key) else value)
        pyramid.in_channels = stages
    else:  # C4 and DC5 go on with ResNet's own last stage, of fixed width: a quarter of ResNet-50's
        _walk(model, lambda key, value: value // 4 if _is_width(key) and value in (1024, 2048) else value)
        if shared_head := model.roi_head.get("shared_head"):
            shared_head.depth = 18
    return cfg


def trainable(name: str) -> Config:
    """`family(NAME)` for real images, of tiny.SIZE pixels, one epoch long."""
    cfg = family(name)
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        for step in dataset_config(loader).pipeline:
            if "scale" in step:
                step.scale = (tiny.SIZE, tiny.SIZE)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    return cfg


def _few(key: str, value: Any) -> Any:
    if key == "num_classes":
        return tiny.CLASSES if value >= 80 else value
    if key == "num_groups":
        return 4
    if key == "init_cfg":
        return None if value and "checkpoint" in value else value
    return min(value, _FEW[key]) if key in _FEW else value


def _is_width(key: str) -> bool:
    return key.endswith(("channels", "channel", "embed_dims"))


def _walk(config: Any, change: Callable[[str, Any], Any]) -> None:
    """Sets every setting in a model config to what `change(key, value)` makes of it."""
    for part in config if isinstance(config, list) else [config]:
        for key, value in list(part.items()):
            if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
                _walk(value, change)
            if isinstance(value, (int, dict)) and not isinstance(value, bool):
                part[key] = change(key, value)
