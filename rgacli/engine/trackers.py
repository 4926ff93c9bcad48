"""Where a run's scalars go: to metrics.jsonl, and to TensorBoard and Weights & Biases through mmengine's backends."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from rgacli.engine.metrics_log import JsonLinesVisBackend
from rgacli.errors import UsageError
from rgacli.wording import param

TRACKERS = {"tensorboard": "TensorboardVisBackend", "wandb": "WandbVisBackend"}
"""Name, which is also the package's -> mmengine's backend."""


def set_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Add trackers to a training config, in place; those it has already stay.

    Raises:
        UsageError: a tracker's package is not installed.
    """
    backends = list(cfg.get("vis_backends") or [])
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{param('track', name)}: it is not installed here; pip install {name}")
        if not any(backend["type"] == TRACKERS[name] for backend in backends):
            backends.append(dict(type=TRACKERS[name]))
    cfg.vis_backends = backends


def set_tracker_folders(cfg: Config, work_dir: Path) -> None:
    """Have every tracker of a config write into the run directory, in place: to tensorboard/ and wandb/."""
    placed = [dict(type=JsonLinesVisBackend.__name__, save_dir=str(work_dir))]
    for backend in cfg.get("vis_backends") or []:
        if backend["type"] == TRACKERS["tensorboard"]:
            backend = dict(backend, save_dir=str(work_dir / "tensorboard"))
        elif backend["type"] == TRACKERS["wandb"]:  # which makes its own folder
            names = {"project": "rgacli", "name": work_dir.name}
            backend = dict(backend, save_dir=str(work_dir), init_kwargs={**names, **backend.get("init_kwargs", {})})
        elif backend["type"] in ("LocalVisBackend", JsonLinesVisBackend.__name__):
            continue
        placed.append(backend)
    cfg.vis_backends = placed
