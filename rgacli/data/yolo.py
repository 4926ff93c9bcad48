"""YOLO's layout: data.yaml, and beside each image's folder images/ one of labels/ with a text file per image.

hotcoco's `COCO.from_yolo` is not used: it wants data.yaml among the labels of a single split, takes the images' names
without their suffixes, leaves out images without a label file, refuses polygons, and reads sizes as they are before
EXIF turns an image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rgacli.data.annotations import Annotations
from rgacli.data.check import Problem, image_size
from rgacli.data.images import images_in
from rgacli.data.splits import Source
from rgacli.data.yolo_labels import label_file, objects_in, read_text
from rgacli.errors import DataError
from rgacli.messages import tell
from rgacli.progress import Progress, in_threads

CONFIG = "data.yaml"

_KEYS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}


def find_yolo(root: Path) -> Source | None:
    """Find a dataset by its data.yaml, as ultralytics reads it.

    `train`, `val` and `test` are each a folder of images, a text file that lists them, or a list of those; relative to
    `path`, or to the file's own folder. Of a path that begins with "../", as Roboflow writes them, the rest is taken
    where the path itself is not there. A split whose path is not there is left out, and said to be.

    Args:
        root: The file, or its folder: data.yaml, or the only other YAML file that names classes and images.

    Returns:
        None where there is no such file.

    Raises:
        DataError: If the file is malformed or ambiguous, or none of its paths is there.
    """
    file = root if root.is_file() else _config_file(root)
    if file is None:
        return None
    config = _read_config(file)
    names = _class_names(file, config)
    images, folders = {}, {}
    for split, keys in _KEYS.items():
        value = next((config[key] for key in keys if config.get(key)), [])
        places = _places(file, config, split, value if isinstance(value, list) else [value])
        if found := _images(file, config, places):
            images[split] = found
            alone = len(places) == 1 and places[0].is_dir()
            folders[split] = places[0] if alone else Path(os.path.commonpath([path.parent for path in found]))
    if not images:
        raise DataError(f"{file}: none of the images that it names is there")
    labels = {image: label_file(image) for paths in images.values() for image in paths}

    def read(progress: Progress | None) -> dict[str, Annotations]:
        return {
            split: _to_coco(folders[split], paths, labels, names, "kpt_shape" in config, progress)
            for split, paths in images.items()
        }

    return Source(
        images=folders,
        contents=[file, *(label for label in dict.fromkeys(labels.values()) if label.is_file())],
        listed=list(labels),
        read=read,
    )


def _config_file(root: Path) -> Path | None:
    if (root / CONFIG).is_file():
        return root / CONFIG
    files = [file for file in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))) if _is_config(file)]
    if len(files) > 1:
        raise DataError(f"{root}: several files describe a YOLO dataset ({_some(files)}): name the one that is meant")
    return files[0] if files else None


def _is_config(file: Path) -> bool:
    try:
        config = _read_config(file)
    except DataError:
        return False
    return bool(config.keys() & {"names", "nc"}) and bool(
        config.keys() & {key for keys in _KEYS.values() for key in keys}
    )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # of a date, or of the encoding; lists without end
        mark = getattr(error, "problem_mark", None)
        raise DataError(f"{file}{f':{mark.line + 1}' if mark else ''}: not valid YAML") from None
    if not isinstance(config, dict):
        raise DataError(f"{file}: not a YOLO dataset: it has no keys such as train and names")
    return config


def _class_names(file: Path, config: Mapping[str, Any]) -> list[str]:
    """Return the classes by their numbers: of a list, or of a mapping from 0 on; `nc` alone numbers them."""
    names, number = config.get("names"), config.get("nc")
    if names is None and isinstance(number, int):
        names = [f"class_{index}" for index in range(number)]
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{file}: names: its keys are not the numbers from 0 to {len(names) - 1}")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, (str, int, float)) for name in names):
        raise DataError(f"{file}: names: not a list of the classes")
    if isinstance(number, int) and number != len(names):
        raise DataError(f"{file}: nc is {number}, and names has {len(names)}")
    return [str(name) for name in names]


def _bases(file: Path, config: Mapping[str, Any]) -> list[Path]:
    """Return what paths are relative to, best first."""
    return [file.parent / str(config["path"]), file.parent] if config.get("path") else [file.parent]


def _places(file: Path, config: Mapping[str, Any], split: str, paths: Sequence[Any]) -> list[Path]:
    """Return the folders and lists that a split is made of, less those that are not there."""
    places = []
    for path in map(str, paths):
        spellings = (path, re.sub(r"^(\.\./)+", "", path))
        candidates = (Path(os.path.normpath(base / each)) for base in _bases(file, config) for each in spellings)
        if place := next(filter(Path.exists, candidates), None):
            places.append(place)
        else:
            tell(f"{file}: no {split} images: {path} is not there")
    return places


def _images(file: Path, config: Mapping[str, Any], places: Sequence[Path]) -> list[Path]:
    """Return the images in folders and on lists, each once."""
    images: list[Path] = []
    for place in places:
        images += images_in(place) if place.is_dir() else _listed(place, _bases(file, config))
    return list(dict.fromkeys(images))


def _listed(file: Path, bases: Sequence[Path]) -> list[Path]:
    """Return the images that a text file lists, relative to its folder or to the dataset's."""
    images = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if name := line.strip():
            candidates = [Path(os.path.normpath(base / name)) for base in (file.parent, *bases)]
            image = next(filter(Path.is_file, candidates), None)
            if image is None:
                raise DataError(f"{file}:{number}: no such image: {candidates[0]}")
            images.append(image)
    return images


def _to_coco(
    folder: Path,
    images: Sequence[Path],
    labels: Mapping[Path, Path],
    names: Sequence[str],
    keypoints: bool,
    progress: Progress | None,
) -> Annotations:
    """Return a split's COCO annotations: class 0 is category 1; an image without a label file has no objects."""
    if not any(labels[image].is_file() for image in images):
        raise DataError(f"{folder}: none of its {len(images)} images has labels (looked for {labels[images[0]]})")
    file_names = [image.relative_to(folder).as_posix() for image in images]
    sizes = list(in_threads(lambda name: image_size(folder, name, decode=False), file_names, progress, "reading"))
    if problems := [size for size in sizes if isinstance(size, Problem)]:
        raise DataError(
            f"{folder}: {len(problems)} of {len(images)} images cannot be read, so their boxes have no size: "
            f"{', '.join(f'{problem.where} ({problem.what})' for problem in problems[:5])}"
        )
    content: Annotations = {
        "images": [],
        "annotations": [],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names, start=1)],
    }
    for image_id, (image, name, size) in enumerate(zip(images, file_names, sizes, strict=True), start=1):
        content["images"].append({"id": image_id, "file_name": name, "width": size[0], "height": size[1]})
        for thing in objects_in(labels[image], size, len(names), keypoints):
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": image_id, **thing})
    return content


def _some(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files)
