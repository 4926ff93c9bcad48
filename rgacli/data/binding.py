"""Pointing a config at a dataset: its files, its classes, and heads sized to match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rgacli.data.annotations import load_with_objects
from rgacli.data.layout import Dataset, Split, find_dataset, find_splits
from rgacli.errors import DataError, UsageError

_LOADERS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}
_STAND_IN = {"val": "test", "test": "val"}


def use_dataset(cfg: Any, dataset: Dataset) -> None:
    """Makes an mmengine config train and evaluate on `dataset`, in place.

    A split that the dataset lacks is stood in for: val by test, test by val.

    Raises:
        DataError: the dataset has no train split, or neither val nor test.
    """
    for name, loader in _LOADERS.items():
        present = name if name in dataset.splits else _STAND_IN.get(name, name)
        _use_split(cfg[loader], dataset.split(present), dataset.classes)
    if cfg.model.get("roi_head"):
        _size_heads(cfg.model.roi_head, len(dataset.classes))


def use_split(cfg: Any, name: str, root: Path) -> None:
    """Makes an mmengine config evaluate split `name` of the dataset in `root`, in place; reads no other split.

    Raises:
        DataError: the dataset has no such split (nor one to stand in), or its classes are not those of the config.
    """
    present = name if name in find_splits(root) else _STAND_IN.get(name, name)
    dataset = find_dataset(root, splits=[present])
    trained_on = tuple((dataset_config(cfg.train_dataloader).get("metainfo") or {}).get("classes", dataset.classes))
    if dataset.classes != trained_on:
        raise DataError(
            f"{root}: its classes ({_some(dataset.classes)}) are not those trained on ({_some(trained_on)}), in order."
        )
    _use_split(cfg[_LOADERS[name]], dataset.split(present), dataset.classes)


def require_trainable(cfg: Any) -> None:
    """Looks for what would end a training on the config's dataset after it has begun.

    Raises:
        DataError: annotations malformed, a split without objects, or images missing.
    """
    for split, loader in _LOADERS.items():
        config = dataset_config(cfg[loader])
        path, folder = annotation_file(config), image_folder(config)
        if not Path(path).is_file():
            raise DataError(f"{path}: no such annotation file; name the dataset's folder by --data.")
        content = load_with_objects(Path(path), split)
        missing = [image["file_name"] for image in content["images"] if not Path(folder, image["file_name"]).is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(content['images'])} images of the {split} split are not in {folder} "
                f"(first: {missing[0]}); `rgacli data check` lists every problem."
            )


def dataset_config(loader: Any) -> Any:
    """The config of the COCO-style dataset at the bottom of a dataloader's wrappers.

    Raises:
        UsageError: it is a concatenation, or not in COCO's format.
    """
    config = _innermost(loader)
    if "ann_file" not in config or not str(config.ann_file).endswith(".json"):
        raise UsageError(f"dataset {config.type} is not in COCO's format; name a COCO-style dataset by --data.")
    return config


def annotation_file(dataset: Any) -> str:
    """The annotation file of a dataset config."""
    return str(Path(dataset.get("data_root") or "") / dataset.ann_file)


def image_folder(dataset: Any) -> str:
    """The image folder of a dataset config."""
    prefix = dataset.get("data_prefix") or {}
    return str(Path(dataset.get("data_root") or "") / prefix.get("img", ""))


def _innermost(loader: Any) -> Any:
    """The dataset config inside a dataloader's wrappers, such as RepeatDataset."""
    config = loader.dataset
    while "dataset" in config:
        config = config.dataset
    return config


def _use_split(loader: Any, split: Split, classes: tuple[str, ...]) -> None:
    config = _innermost(loader)
    config.type = "CocoDataset"
    config.data_root = ""
    config.ann_file = str(split.annotations)
    config.data_prefix = dict(img=f"{split.images}/")
    config.metainfo = dict(classes=classes)


def _size_heads(roi_head: Any, num_classes: int) -> None:
    heads = roi_head.bbox_head if isinstance(roi_head.bbox_head, (list, tuple)) else [roi_head.bbox_head]
    for head in heads:
        head.num_classes = num_classes


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
