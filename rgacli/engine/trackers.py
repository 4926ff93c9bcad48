"""Where a run's scalars go: to metrics.jsonl, and to experiment trackers through mmengine's backends."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import DVCLiveVisBackend, Visualizer

from rgacli.engine.metrics_log import JsonLinesVisBackend
from rgacli.errors import UsageError
from rgacli.wording import param

TRACKERS = {
    "tensorboard": "TensorboardVisBackend",
    "wandb": "WandbVisBackend",
    "mlflow": "MLflowVisBackend",
    "clearml": "ClearMLVisBackend",
    "neptune": "NeptuneVisBackend",
    "aim": "AimVisBackend",
    "dvclive": "PlainDVCLiveVisBackend",
}
"""Name, which is also the package's -> mmengine's backend."""


@VISBACKENDS.register_module()
class PlainDVCLiveVisBackend(DVCLiveVisBackend):
    """mmengine's DVCLive backend, less its `dvc init -f` where git has no user's name: that deletes DVC's cache."""

    def _init_env(self) -> None:
        from dvclive import Live

        self._dvclive = Live(**(self._init_kwargs or {}))


def set_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Add trackers to a training config, in place; those it has already stay.

    Raises:
        UsageError: there is no such tracker, or its package is not installed.
    """
    backends = list(cfg.get("vis_backends") or [])
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"{param('track', name)}: it can be {', '.join(TRACKERS)}.")
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{param('track', name)}: it is not installed here; pip install {name}")
        if not any(backend["type"] == TRACKERS[name] for backend in backends):
            backends.append(dict(type=TRACKERS[name]))
    cfg.vis_backends = backends


def set_tracker_folders(cfg: Config, work_dir: Path) -> None:
    """Have every tracker of a config write into the run directory, to a folder of its name, in place."""
    names = {backend: name for name, backend in TRACKERS.items()}
    placed = [dict(type=JsonLinesVisBackend.__name__, save_dir=str(work_dir))]
    for backend in cfg.get("vis_backends") or []:
        if backend["type"] in names:
            backend = _placed(names[backend["type"]], backend, work_dir)
        elif backend["type"] in ("LocalVisBackend", JsonLinesVisBackend.__name__):
            continue
        placed.append(backend)
    cfg.vis_backends = placed


def _placed(name: str, backend: Mapping[str, Any], work_dir: Path) -> dict[str, Any]:
    """Return a tracker's config: what it says itself, and the rest by the run and its place, which may have moved."""
    before = backend.get("save_dir")
    stale = _by_run(name, Path(before) if name == "wandb" else Path(before).parent) if before else {}
    return _completed(backend, _by_run(name, work_dir), stale)


def _by_run(name: str, work_dir: Path) -> dict[str, Any]:
    """Return what a tracker is told of a run."""
    run, folder = work_dir.absolute().name, str(work_dir / name)
    match name:
        case "wandb":  # which makes its own folder
            return dict(save_dir=str(work_dir), init_kwargs=dict(project="rgacli", name=run))
        case "mlflow":  # which refuses mmengine's default, a store of files
            uri = os.environ.get("MLFLOW_TRACKING_URI")
            place = dict(tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_location=f"{folder}/artifacts")
            return dict(save_dir=folder, exp_name="rgacli", run_name=run, **(dict(tracking_uri=uri) if uri else place))
        case "clearml":
            return dict(save_dir=folder, init_kwargs=dict(project_name="rgacli", task_name=run))
        case "neptune":
            return dict(save_dir=folder, init_kwargs=dict(name=run))
        case "aim":
            return dict(save_dir=folder, init_kwargs=dict(repo=folder, experiment=run))
        case (
            "dvclive"
        ):  # by default it makes a DVC experiment, which commits, and forgets what a resumed run had logged
            init = dict(dir=folder, dvcyaml=f"{folder}/dvc.yaml", save_dvc_exp=False, resume=True)
            return dict(save_dir=folder, init_kwargs=init)
    return dict(save_dir=folder)


def _completed(own: Any, new: Any, stale: Any) -> Any:
    """Return settings with those that they lack, or have from an earlier place."""
    if not isinstance(new, dict) or not isinstance(own, dict):
        return new if own is None or own == stale else own
    stale = stale or {}
    return {**own, **{key: _completed(own.get(key), value, stale.get(key)) for key, value in new.items()}}


def start_trackers(visualizer: Visualizer) -> None:
    """Have trackers begin, which mmengine does at their first use.

    Raises:
        UsageError: one of them cannot, as it is not configured or nobody is logged in.
    """
    names = {backend: name for name, backend in TRACKERS.items()}
    for kind, backend in visualizer._vis_backends.items():
        try:
            backend.experiment  # noqa: B018
        except Exception as error:  # each has errors of its own
            raise UsageError(f"{param('track', names.get(kind, kind))}: it does not start: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return an error's name and the sentence in it, without colours, rules and headings."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).strip(" -") for line in str(error).splitlines()]
    return f"{type(error).__name__}: " + next((line for line in lines if " " in line), "".join(lines[:1]))
