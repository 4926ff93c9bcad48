"""Pointing a config at a dataset: its files, its classes, and heads sized to match."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS

from rgacli.config.fingerprint import SplitFacts, read_fingerprint
from rgacli.data.annotations import Annotations, category_names, load_annotations, load_with_objects
from rgacli.data.layout import Dataset, find_splits, read_dataset, restore_annotations
from rgacli.data.splits import SPLITS, Split
from rgacli.errors import DataError, UsageError
from rgacli.wording import function, param, some

# What a dataset config says that is not of its own files and format.
_KEPT = ("pipeline", "test_mode", "filter_cfg", "backend_args", "return_classes")
_STAND_IN = {"val": "test", "test": "val"}


def set_dataset(cfg: Any, dataset: Dataset) -> None:
    """Make an mmengine config train and evaluate on `dataset`, in place.

    A split that the dataset lacks is stood in for: val by test, test by val.

    Raises:
        UsageError: the config has no dataloader for a split.
        DataError: the dataset has no train split, or neither val nor test.
    """
    for name in SPLITS:
        present = name if name in dataset.splits else _STAND_IN.get(name, name)
        _set_split(_loader(cfg, name), dataset.split(present), dataset.classes)
    _set_num_classes(cfg.model, len(dataset.classes))


def set_split(cfg: Any, name: str, root: Path) -> str:
    """Make an mmengine config evaluate split `name` of the dataset in `root`, in place; read no other split.

    Returns:
        The split that it is: another where that stands in.

    Raises:
        UsageError: the config has no dataloader for it.
        DataError: the dataset has no such split (nor one to stand in), its classes are not those of the config, or it
            has no masks and the config asks for them.
    """
    found = find_splits(root)
    present = name if name in found else _STAND_IN.get(name, name)
    if present not in found:
        found = find_splits(root, splits=[present])  # which says what was looked for
    dataset = read_dataset(root, {present: found[present]})
    _require_trained_on(cfg, dataset.classes, root)
    split, loader = dataset.split(present), _loader(cfg, name)
    if _loads_masks(loader):
        _require_masks(load_annotations(split.annotations), str(split.annotations))
    _set_split(loader, split, dataset.classes)
    return present


def split_read(cfg: Any, name: str) -> str:
    """Return the split that a config reads as `name`: another where that stands in, as val does for mmdet's COCO test.

    Raises:
        UsageError: the config has no dataloader for it.
    """
    if name not in _STAND_IN:
        return name
    own, other = _loader(cfg, name), cfg.get(f"{_STAND_IN[name]}_dataloader")  # exports have that of test alone
    own, other = (annotation_file(dataset_config(loader)) if loader else None for loader in (own, other))
    if own != other:
        return name
    return "test" if "test" in Path(own).stem else "val"


def set_images(cfg: Any, split: Split) -> None:
    """Make an mmengine config's test run on images that need no annotations, in place.

    Raises:
        UsageError: the config has no dataloader for a test.
        DataError: the list of images is malformed, or its classes are not those of the config.
    """
    classes = tuple(category_names(load_annotations(split.annotations, labelled=False)).values())
    _require_trained_on(cfg, classes, split.annotations)
    _set_split(_loader(cfg, "test"), split, classes)


def require_trainable(cfg: Any) -> dict[str, SplitFacts]:
    """Look for what would end a training on the config's dataset after it has begun.

    Returns:
        Split -> what it is, in short.

    Raises:
        UsageError: the config has no dataloader for a split.
        DataError: annotations malformed or of other classes than the detector's, a split without objects, images
            missing or all too small to be trained on, or no masks where the config asks for them.
    """
    return {split: _trainable(cfg, split) for split in SPLITS}


def require_unchanged(cfg: Any, fingerprint: Path) -> None:
    """Look whether the dataset of a config that was trained by is still what it was.

    Annotations that were converted and are gone from the cache are converted again.

    Args:
        cfg: The config.
        fingerprint: What `write_fingerprint` wrote; without such a file it is enough that the annotations are there.

    Raises:
        DataError: annotations or images are gone, or what is trained on or validated by has changed.
    """
    for split in SPLITS:
        existing_annotation_file(
            dataset_config(_loader(cfg, split)), "put it back, or change the run's config to where it is now"
        )
    for split, before in read_fingerprint(fingerprint).items():
        if found := "; ".join(_trainable(cfg, split).differences(before)):
            raise DataError(
                f"the {split} split has changed since the training began: {found} "
                f"({annotation_file(dataset_config(_loader(cfg, split)))}). Put it back as it was, or begin a training "
                f"on it from a checkpoint of this one by {param('weights')}; with {fingerprint} removed this one goes "
                "on, to another end than it would have come to."
            )


def _trainable(cfg: Any, split: str) -> SplitFacts:
    """Return what a split is, as `require_trainable` does, which says what is raised."""
    loader = _loader(cfg, split)
    config = dataset_config(loader)
    path, folder = existing_annotation_file(config), image_folder(config)
    content = load_with_objects(Path(path), split, classes_of(config) or _classes_of_type(config))
    require_classes(cfg.model, config, content)
    if _loads_masks(loader):
        _require_masks(content, path)
    sizes = [_size(Path(folder, image["file_name"])) for image in content["images"]]
    missing = [image["file_name"] for image, size in zip(content["images"], sizes, strict=True) if size is None]
    if missing:
        gone = "" if os.path.isdir(folder) else ", which is no folder"
        raise DataError(
            f"{len(missing)} of the {len(content['images'])} images of the {split} split are not in {folder}{gone} "
            f"(first: {missing[0]}); {function('check_dataset')} lists every problem."
        )
    if split == "train":
        _require_unfiltered(config, content)
    return SplitFacts.of(Path(path), content, sum(sizes))


def _require_unfiltered(dataset: Any, content: Annotations) -> None:
    """Raise a DataError if a dataset config's own filter leaves no image, of which mmdet says only that it cannot."""
    rules = dataset.get("filter_cfg") or {}
    least, labelled = rules.get("min_size", 0), {entry["image_id"] for entry in content["annotations"]}
    images = [image for image in content["images"] if image["id"] in labelled or not rules.get("filter_empty_gt")]
    if not any(min(image["width"], image["height"]) >= least for image in images):
        raise DataError(
            f"{annotation_file(dataset)}: every image has a side below {least} px, the least that is trained on: "
            f"lower {param('settings', 'train_dataloader.dataset.filter_cfg.min_size=1')}."
        )


def _size(path: Path) -> int | None:
    """Return a file's bytes; None where there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):  # the last: no file can have such a name
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def require_classes(model: Any, dataset: Any, content: Annotations) -> None:
    """Look for what would make a detector's labels stand for other categories, or for none.

    Args:
        model: The detector's config.
        dataset: The config of what it is to be run on.
        content: The dataset's annotations, of the config's classes alone.

    Raises:
        DataError: the detector tells more or fewer classes apart than the dataset has.
    """
    found, number = len(content["categories"]), _num_classes(model)
    if number not in (None, found) and not model.get("language_model"):  # whose classes are named in words
        raise DataError(
            f"{annotation_file(dataset)}: it has {found} of the config's classes, and the detector tells {number} "
            f"apart: name the dataset that it was trained for by {param('data')}, or another config."
        )


def dataset_config(loader: Any) -> Any:
    """Return the config of the COCO-style dataset at the bottom of a dataloader's wrappers.

    Raises:
        UsageError: it is a concatenation, or not in COCO's format.
    """
    config = _innermost(loader)
    if "ann_file" not in config or not str(config.ann_file).endswith(".json"):
        raise UsageError(
            f"dataset {config.type} is not in COCO's format; name a COCO-style dataset by {param('data')}."
        )
    return config


def trained_dataset(cfg: Any) -> Any:
    """Return the config of the dataset whose classes a detector has.

    It is the one trained on or, where nothing is trained (an export), the one to be tested on.

    Raises:
        UsageError: as `dataset_config`, or the config has neither.
    """
    return dataset_config(cfg.get("train_dataloader") or _loader(cfg, "test"))


def classes_of(dataset: Any) -> tuple[str, ...] | None:
    """Return the classes that a dataset config names; None where it names none, and mmdet's of the dataset hold."""
    return (dataset.get("metainfo") or {}).get("classes")


def _classes_of_type(dataset: Any) -> tuple[str, ...] | None:
    """Return the classes that mmdet gives a dataset's type; None where it gives none."""
    return getattr(DATASETS.get(dataset.type), "METAINFO", {}).get("classes")


def class_names(dataset: Any) -> tuple[str, ...]:
    """Return the classes of a dataset config, by label: those that it names, or those that mmdet gives its type."""
    return tuple(DATASETS.build({**dataset, "lazy_init": True, "pipeline": []}).metainfo["classes"])


def annotation_file(dataset: Any) -> str:
    """Return the annotation file of a dataset config."""
    return str(Path(dataset.get("data_root") or "") / dataset.ann_file)


def existing_annotation_file(dataset: Any, hint: str = f"name the dataset's folder by {param('data')}") -> str:
    """Return the annotation file of a dataset config, which must exist or be one that can be converted again.

    Args:
        dataset: The config.
        hint: What there is to do where it does not.

    Raises:
        DataError: it is not there, or was converted from what has changed or is not there.
    """
    path = annotation_file(dataset)
    origin = (dataset.get("metainfo") or {}).get("converted_from")
    if not Path(path).is_file() and origin:
        restore_annotations(Path(path), Path(origin[0]), origin[1])
    if not Path(path).is_file():
        raise DataError(f"{path}: no such annotation file; {hint}.")
    return path


def image_folder(dataset: Any) -> str:
    """Return the image folder of a dataset config."""
    prefix = dataset.get("data_prefix") or {}
    return str(Path(dataset.get("data_root") or "") / prefix.get("img", ""))


def _require_trained_on(cfg: Any, classes: tuple[str, ...], where: Path) -> None:
    """Raise a DataError unless the config was trained on these classes, as far as it tells."""
    trained_on = tuple(classes_of(trained_dataset(cfg)) or classes)
    if classes != trained_on:
        raise DataError(
            f"{where}: its classes ({some(classes)}) are not those trained on ({some(trained_on)}), in order."
        )


def _loader(cfg: Any, split: str) -> Any:
    """Return the config of a split's dataloader.

    Raises:
        UsageError: there is none.
    """
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise UsageError(
            f"the config has no {split}_dataloader: let it inherit one (`_base_`), such as from "
            "mmdet::_base_/datasets/coco_detection.py."
        )
    return loader


def _innermost(loader: Any) -> Any:
    """Return the dataset config inside a dataloader's wrappers, such as RepeatDataset."""
    config = loader.dataset
    while "dataset" in config:
        config = config.dataset
    return config


def _set_split(loader: Any, split: Split, classes: tuple[str, ...]) -> None:
    config = _innermost(loader)
    # Of several concatenated, ours takes the place of all, on the first one's pipeline.
    old = config.datasets[0] if config.get("datasets") else config
    kept = {key: old[key] for key in _KEPT if key in old}
    config.clear()
    config.update(
        type="CocoDataset",
        data_root="",
        ann_file=str(split.annotations),
        data_prefix=dict(img=f"{split.images}/"),
        metainfo=dict(classes=classes, **_origin(split)),
        **kept,
    )


def _origin(split: Split) -> dict[str, Any]:
    """Return what tells `existing_annotation_file` how to convert a split again."""
    if split.converted_from is None:
        return {}
    root, split_by = split.converted_from
    return dict(converted_from=(str(root), split_by))  # no plain text: mmdet would take that for a file of classes


def _set_num_classes(model: Any, num_classes: int) -> None:
    """Size every head that has as many classes as the box head: its like of a cascade, mask heads, their losses."""
    old = _num_classes(model)
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
            f"annotation {bare[0]}), which this config asks for; take a config without a mask head."
        )


def _num_classes(model: Any) -> int | None:
    """Return how many classes a detector tells apart; None where its config does not say."""
    return next((part.num_classes for part in _parts(model) if _is_box_head(part)), None)


def _is_box_head(part: Any) -> bool:
    return "num_classes" in part and "Head" in part.get("type", "")


def _parts(config: Any) -> Iterator[Any]:
    """Yield a model config and all that it is made of, but for backbone, neck and RPN, which know no classes."""
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _parts(part)
    elif isinstance(config, dict):
        yield config
        for key, part in config.items():
            if key not in ("backbone", "neck", "rpn_head"):
                yield from _parts(part)
