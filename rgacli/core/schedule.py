"""How long to train, on how many images at once, at what learning rate."""

from __future__ import annotations

import math

import torch
from mmengine.config import Config

from rgacli.errors import UsageError


def set_epochs(cfg: Config, epochs: int) -> None:
    """Trains for `epochs`, the learning-rate schedule stretched or shrunk to match.

    Raises:
        UsageError: the config counts iterations, not epochs, or epochs < 1.
    """
    old = cfg.train_cfg.get("max_epochs")
    if not old:
        raise UsageError("--epochs: this config trains by iterations; use --set train_cfg.max_iters=N.")
    if epochs < 1:
        raise UsageError(f"--epochs {epochs}: it must be at least 1.")
    cfg.train_cfg.max_epochs = epochs
    cfg.train_cfg.val_interval = max(1, min(cfg.train_cfg.get("val_interval", 1), epochs))
    for scheduler in cfg.get("param_scheduler") or []:
        if not scheduler.get("by_epoch", True):
            continue  # a warm-up in iterations keeps its length
        for key in ("begin", "end", "T_max"):
            if key in scheduler:
                scheduler[key] = round(scheduler[key] * epochs / old)
        for key, least in (("end", scheduler.get("begin", 0) + 1), ("T_max", 1)):  # mmengine takes no empty schedule
            if key in scheduler:
                scheduler[key] = max(scheduler[key], least)
        if "milestones" in scheduler:
            scheduler.milestones = [max(1, round(milestone * epochs / old)) for milestone in scheduler.milestones]


def set_batch_size(cfg: Config, batch_size: int) -> None:
    """Images per training step on one device.

    Raises:
        UsageError: batch_size < 1.
    """
    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: it must be at least 1.")
    cfg.train_dataloader.batch_size = batch_size


def set_learning_rate(cfg: Config, lr: float | None, devices: int = 1) -> str:
    """Sets the learning rate: `lr`, or by the linear scaling rule from the config's base batch size.

    Returns:
        A line that says what it is and why.

    Raises:
        UsageError: lr is not above 0.
    """
    optimizer = cfg.optim_wrapper.optimizer
    batch = cfg.train_dataloader.batch_size * devices
    base = (cfg.get("auto_scale_lr") or {}).get("base_batch_size")
    # The rule is applied here and now; mmengine must not apply it again.
    if cfg.get("auto_scale_lr"):
        cfg.auto_scale_lr.enable = False
        cfg.auto_scale_lr.base_batch_size = batch
    if lr is not None:
        if not 0 < lr < math.inf:
            raise UsageError(f"--lr {lr:g}: it must be a finite number above 0.")
        optimizer.lr = lr
        return f"learning rate {lr:g} (--lr)"
    if not base or base == batch:
        return f"learning rate {optimizer.lr:g} (the config's, for {batch} images a step)"
    config_lr = optimizer.lr
    optimizer.lr = config_lr * batch / base
    return (
        f"learning rate {optimizer.lr:g} = {config_lr:g} · {batch}/{base} "
        "(linear scaling from the config's batch size; --lr sets it)"
    )


def use_mixed_precision(cfg: Config) -> None:
    """Trains with automatic mixed precision, through mmengine's AmpOptimWrapper.

    Raises:
        UsageError: there is no CUDA device, which that wrapper needs.
    """
    if not torch.cuda.is_available():
        raise UsageError("--amp: mixed precision needs a CUDA device, and torch sees none.")
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
