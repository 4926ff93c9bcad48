"""How long to train, on how many images at once, in what steps."""

from __future__ import annotations

import math

from mmengine.config import Config

from rgacli.errors import UsageError
from rgacli.wording import param

_LARGEST = 3.4e38  # of float32


def set_epochs(cfg: Config, epochs: int, least: int = 1) -> None:
    """Set the number of epochs, and stretch or shrink the learning-rate schedule to match.

    No epochs leave the schedule as it is: by it, a config of none is given some again.

    Raises:
        UsageError: the config counts iterations, not epochs, or these are fewer than the least.
    """
    old = cfg.train_cfg.get("max_epochs")
    if old is None:
        raise UsageError(
            f"{param('epochs')}: this config trains by iterations; use {param('settings', 'train_cfg.max_iters=N')}."
        )
    if epochs < least:
        without = f" (0: only with {param('weights')}, to write what they start a training from)" if epochs == 0 else ""
        raise UsageError(f"{param('epochs', epochs)}: it must be at least {least}{without}.")
    cfg.train_cfg.max_epochs = epochs
    if epochs == 0:
        return
    old = old or _scheduled_epochs(cfg) or epochs
    cfg.train_cfg.val_interval = max(1, min(cfg.train_cfg.get("val_interval", 1), epochs))
    if "val_begin" in cfg.train_cfg:
        cfg.train_cfg.val_begin = _within(cfg.train_cfg.val_begin, epochs, old)
    if cfg.train_cfg.get("dynamic_intervals"):
        intervals = cfg.train_cfg.dynamic_intervals
        cfg.train_cfg.dynamic_intervals = [(_within(begin, epochs, old), each) for begin, each in intervals]
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
            # A step after the last epoch would change nothing; a single epoch has none.
            steps = [each for each in scheduler.milestones if each < old and epochs > 1]
            scheduler.milestones = [_within(each, epochs, old, epochs - 1) for each in steps]


def _within(epoch: int, epochs: int, old: int, last: int | None = None) -> int:
    """Return the epoch of a training of `epochs` that stands for one of a training of `old`, from 1 to the last."""
    return max(1, min(round(epoch * epochs / old), last or epochs))


def _scheduled_epochs(cfg: Config) -> int:
    """Return the epochs that a config's learning-rate schedule is made for; 0 where it does not tell."""
    by_epoch = [scheduler for scheduler in cfg.get("param_scheduler") or [] if scheduler.get("by_epoch", True)]
    return max((scheduler.get("end") or scheduler.get("T_max") or 0 for scheduler in by_epoch), default=0)


def set_batch_size(cfg: Config, batch_size: int) -> None:
    """Set the number of images per iteration of one process.

    Raises:
        UsageError: batch_size < 1.
    """
    if batch_size < 1:
        raise UsageError(f"{param('batch_size', batch_size)}: it must be at least 1.")
    cfg.train_dataloader.batch_size = batch_size


def set_accumulation(cfg: Config, iterations: int) -> None:
    """Have the gradients of so many iterations accumulated for each optimizer step.

    Raises:
        UsageError: iterations < 1.
    """
    if iterations < 1:
        raise UsageError(f"{param('accumulate', iterations)}: it must be at least 1.")
    cfg.optim_wrapper.accumulative_counts = iterations


def set_clipping(cfg: Config, max_norm: float) -> None:
    """Have the norm of all gradients clipped at `max_norm`; 0 is no clipping.

    Raises:
        UsageError: max_norm is negative or not finite.
    """
    if not 0 <= max_norm < math.inf:
        raise UsageError(
            f"{param('clip', format(max_norm, 'g'))}: it must be a finite number, at least 0 (no clipping)."
        )
    cfg.optim_wrapper.clip_grad = dict(max_norm=max_norm, norm_type=2) if max_norm else None


def set_learning_rate(cfg: Config, lr: float | None, *, processes: int = 1, scale: bool = True) -> str:
    """Set the learning rate: `lr`, or by the linear scaling rule from the config's base batch size.

    Args:
        cfg: A training config with its batch size and accumulation set.
        lr: Taken as it is; None for the config's.
        processes: That each train on a batch of their own.
        scale: Whether to scale the config's to the images that an optimizer step sees.

    Returns:
        A line that says what it is and why.

    Raises:
        UsageError: lr is not above 0, or too large for float32.
    """
    optimizer = cfg.optim_wrapper.optimizer
    batch = images_per_step(cfg, processes)
    base = (cfg.get("auto_scale_lr") or {}).get("base_batch_size")
    # The rule is applied here and now; mmengine must not apply it again.
    if cfg.get("auto_scale_lr"):
        cfg.auto_scale_lr.enable = False
        cfg.auto_scale_lr.base_batch_size = batch
    if lr is not None:
        if not 0 < lr <= _LARGEST:
            raise UsageError(
                f"{param('lr', format(lr, 'g'))}: it must be a finite number above 0, and float32 has to hold it."
            )
        optimizer.lr = lr
        return f"learning rate {lr:g} ({param('lr')})"
    if not scale:
        return f"learning rate {optimizer.lr:g} (the config's, not scaled)"
    if not base or base == batch:
        return f"learning rate {optimizer.lr:g} (the config's, for {batch} images a step)"
    config_lr = optimizer.lr
    optimizer.lr = config_lr * batch / base
    return (
        f"learning rate {optimizer.lr:g} = {config_lr:g} · {batch}/{base} "
        f"(linear scaling from the config's batch size; {param('lr')} sets it)"
    )


def images_per_step(cfg: Config, processes: int) -> int:
    """Return the images that one optimizer step sees, over all processes and the iterations that it accumulates."""
    return cfg.train_dataloader.batch_size * processes * cfg.optim_wrapper.get("accumulative_counts", 1)


def set_processes(cfg: Config, processes: int) -> str | None:
    """Divide the batch of all of a run's processes among another number of them, in place.

    Iterations, λ, learning rate and schedules then go on as they were.

    Args:
        cfg: The config of a run, whose `processes` tells how many it was trained by.
        processes: How many train it from now on.

    Returns:
        A line that says what differs; None if they are as many as before.

    Raises:
        UsageError: the batch cannot be divided so.
    """
    before = cfg.get("processes", 1)
    if processes == before:
        return None
    images = cfg.train_dataloader.batch_size * before
    if images % processes:
        fit = ", ".join(str(number) for number in range(1, images + 1) if images % number == 0)
        raise UsageError(
            f"{param('resume', True)}: this run trains on {images} images at a time, which {processes} processes "
            f"cannot share evenly: it can go on with {fit}."
        )
    cfg.train_dataloader.batch_size = images // processes
    cfg.processes = processes
    return (
        f"{processes} process{'es' * (processes > 1)} of {images // processes} images in place of {before} of "
        f"{images // before}: λ and learning rate go on, what the samplers draw differs from here on"
    )
