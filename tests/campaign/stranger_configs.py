"""Configs that a stranger could send: of literals alone, and still something of them would run, or write elsewhere."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from tests.campaign.strangers import Calls


def _import_of_a_backend(cfg: Config, folder: Path, mark: Path) -> None:
    (folder / "theirs").mkdir()
    (folder / "theirs/mc.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    backend = dict(backend="memcached", server_list_cfg="a", client_cfg="b", sys_path=str(folder / "theirs"))
    cfg.test_dataloader.dataset.pipeline[0].backend_args = backend


def _dataset_as_a_transform(cfg: Config, folder: Path, mark: Path) -> None:
    (folder / "tree").write_bytes(_pickled(mark))
    (folder / "labels.txt").write_text("1,2,3,4\n")
    files = dict(ann_file="labels.txt", label_file="labels.txt", meta_file="labels.txt", hierarchy_file="tree")
    dataset = dict(type="mmdet.datasets.OpenImagesChallengeDataset", pipeline=[], **files)
    cfg.test_dataloader.dataset.pipeline.insert(1, dataset)


def _file_that_is_named_as_a_suffix(cfg: Config, folder: Path, mark: Path) -> None:
    (folder / "pkl").write_bytes(_pickled(mark))
    cfg.test_dataloader.dataset.proposal_file = "pkl"


def _runner_as_a_transform(cfg: Config, folder: Path, mark: Path) -> None:
    runner = dict(type="mmengine.runner.Runner", model=dict(type="mmdet.ResNet", depth=18), work_dir=str(mark))
    cfg.test_dataloader.dataset.pipeline.insert(1, runner)


def _function_as_a_neck(cfg: Config, folder: Path, mark: Path) -> None:
    cfg.model.neck = dict(type="os.system", command=f"touch '{mark}'")


def _module_beside_it(cfg: Config, folder: Path, mark: Path) -> None:
    (folder / "theirs.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    cfg.custom_imports = dict(imports=["theirs"], allow_failed_imports=False)


def _pickled(mark: Path) -> bytes:
    return pickle.dumps(Calls(os.system, f"touch '{mark}'"))


ATTACKS: dict[str, Callable[[Config, Path, Path], None]] = {
    "a backend of files that imports": _import_of_a_backend,
    "a dataset as a transform": _dataset_as_a_transform,
    "a file that is named as a suffix": _file_that_is_named_as_a_suffix,
    "a runner as a transform": _runner_as_a_transform,
    "a function as a neck": _function_as_a_neck,
    "a module beside it": _module_beside_it,
}
"""What is done to a config, given a folder for what goes with it and a file or folder `mark` that shows that it ran."""


def change(path: Path, attack: str, folder: Path, mark: Path) -> None:
    """Change a run's config file by an attack."""
    cfg = Config.fromfile(path)
    ATTACKS[attack](cfg, folder, mark)
    path.write_text(cfg.pretty_text, encoding="utf-8")
