"""Pointing a config at a dataset: its files, its classes, and heads sized to match."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rgacli.data.annotations import category_names, load_annotations, load_with_objects
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
    _size_heads(cfg.model, len(dataset.classes))


def use_split(cfg: Any, name: str, root: Path) -> None:
    """Makes an mmengine config evaluate split `name` of the dataset in `root`, in place; reads no other split.

    Raises:
        DataError: the dataset has no such split (nor one to stand in), or its classes are not those of the config.
    """
    present = name if name in find_splits(root) else _STAND_IN.get(name, name)
    dataset = find_dataset(root, splits=[present])
    _require_classes(cfg, dataset.classes, root)
    _use_split(cfg[_LOADERS[name]], dataset.split(present), dataset.classes)


def use_images(cfg: Any, split: Split) -> None:
    """Makes an mmengine config's test run on images that need no annotations, in place.

    Raises:
        DataError: the list of images is malformed, or its classes are not those of the config.
    """
    classes = tuple(category_names(load_annotations(split.annotations, labelled=False)).values())
    _require_classes(cfg, classes, split.annotations)
    _use_split(cfg.test_dataloader, split, classes)


def require_trainable(cfg: Any) -> None:
    """Looks for what would end a training on the config's dataset after it has begun.

    Raises:
        DataError: annotations malformed, a split without objects, images missing, or masks that are trained on.
    """
    for split, loader in _LOADERS.items():
        config = dataset_config(cfg[loader])
        path, folder = annotation_file(config), image_folder(config)
        if not Path(path).is_file():
            raise DataError(f"{path}: no such annotation file; name the dataset's folder by --data.")
        content = load_with_objects(Path(path), split)
        if split == "train" and _loads_masks(cfg[loader]):
            _require_masks(content, path)
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


def _require_classes(cfg: Any, classes: tuple[str, ...], where: Path) -> None:
    """Raises a DataError unless the config was trained on these classes, as far as it tells."""
    trained_on = tuple((dataset_config(cfg.train_dataloader).get("metainfo") or {}).get("classes", classes))
    if classes != trained_on:
        raise DataError(
            f"{where}: its classes ({_some(classes)}) are not those trained on ({_some(trained_on)}), in order."
        )


def _innermost(loader: Any) -> Any:
    """The dataset config inside a dataloader's wrappers, such as RepeatDataset."""
    config = loader.dataset
    while "dataset" in config:
        config = config.dataset
    return config


def _use_split(loader: Any, split: Split, classes: tuple[str, ...]) -> None:
    config = _innermost(loader)
    if config.get("datasets"):  # several concatenated: ours takes the place of all, on the first one's pipeline
        merged = config.datasets[0]
        config.pop("datasets")
        config.update(merged)
    config.type = "CocoDataset"
    config.data_root = ""
    config.ann_file = str(split.annotations)
    config.data_prefix = dict(img=f"{split.images}/")
    config.metainfo = dict(classes=classes)


def _size_heads(model: Any, num_classes: int) -> None:
    """Sizes every head that has as many classes as the box head: its like of a cascade, mask heads, their losses."""
    old = next((part.num_classes for part in _parts(model) if _is_box_head(part)), None)
    for part in _parts(model):
        if old is not None and part.get("num_classes") == old:
            part.num_classes = num_classes


def _loads_masks(loader: Any) -> bool:
    pipeline = _innermost(loader).get("pipeline") or ()
    return any(step.get("with_mask") for step in pipeline)


def _require_masks(content: dict, path: str) -> None:
    bare = [
        entry["id"] for entry in content["annotations"] if not entry.get("iscrowd") and not entry.get("segmentation")
    ]
    if bare:
        raise DataError(
            f'{path}: {len(bare)} of {len(content["annotations"])} objects have no mask ("segmentation"; first: '
            f"annotation {bare[0]}), which this config trains on; take a config without a mask head."
        )


def _is_box_head(part: Any) -> bool:
    return "num_classes" in part and "Head" in part.get("type", "")


def _parts(config: Any) -> Iterator[Any]:
    """A model config and all that it is made of, but for backbone, neck and RPN, which know no classes."""
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _parts(part)
    elif isinstance(config, dict):
        yield config
        for key, part in config.items():
            if key not in ("backbone", "neck", "rpn_head"):
                yield from _parts(part)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
