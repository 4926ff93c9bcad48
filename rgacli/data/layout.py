"""Finding a dataset's annotation files and image folders, and the classes they share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgacli.data.annotations import category_difference, category_names, load_annotations
from rgacli.errors import DataError
from rgacli.wording import function, param

SPLITS = ("train", "val", "test")
TEST_DEV = "test-dev"
"""COCO's images whose annotations are not public."""


@dataclass(frozen=True)
class Split:
    """One part of a dataset: a COCO annotation file and the folder its file names are relative to, both absolute."""

    name: str
    annotations: Path
    images: Path


@dataclass(frozen=True)
class Dataset:
    """A dataset's splits and its class names, in the order of the annotation files."""

    root: Path
    splits: dict[str, Split]
    classes: tuple[str, ...]

    def split(self, name: str) -> Split:
        """Return the split of that name.

        Raises:
            DataError: If there is none; it names those there are.
        """
        if name not in self.splits:
            raise DataError(f"{self.root} has no split {name!r}; it has {', '.join(self.splits)}")
        return self.splits[name]


def find_dataset(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    annotations: Mapping[str, Path | None] | None = None,
    images: Mapping[str, Path | None] | None = None,
) -> Dataset:
    """Find a dataset and read its classes.

    Args:
        root: The dataset's folder, in one of the layouts of `find_splits`.
        splits: The splits wanted; None for those of SPLITS that there are. Naming only what is used spares reading
            the others' annotations, and lets a dataset do that has nothing else.
        annotations: Split -> annotation file, where the layout does not tell (None: it does).
        images: Split -> image folder, likewise.

    Raises:
        DataError: As `find_splits`; if an annotation file is malformed, has no categories, or others than the first.
    """
    found = find_splits(root, splits=splits, annotations=annotations, images=images)
    names = {split.name: category_names(load_annotations(split.annotations)) for split in found.values()}
    first, *others = names
    if not names[first]:
        raise DataError(f"{found[first].annotations}: it lists no categories, so there is no class to detect")
    for other in others:
        if difference := category_difference(names[first], names[other]):
            raise DataError(f"{found[other].annotations}: its categories are not those of {first}: {difference}")
    return Dataset(root=Path(root).absolute(), splits=found, classes=tuple(names[first].values()))


def find_splits(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    annotations: Mapping[str, Path | None] | None = None,
    images: Mapping[str, Path | None] | None = None,
) -> dict[str, Split]:
    """Find the splits of a dataset by the names of its files, without opening any.

    Two layouts are known, and mixtures of them:

    - COCO's: `annotations/instances_train2017.json` (any year or none; the newest that has images) with `train2017/`.
    - plain: `annotations/train.json` with `images/train/` or, shared by the splits, `images/` (CrowdHuman: `Images/`).

    The arguments are those of `find_dataset`; a path in `annotations` or `images` is taken from the working folder
    or, if it is not there, from `root`.

    Raises:
        DataError: If there is no such folder, if a split that is wanted is not in it (or none is), or if a split
            has annotations but no images.
    """
    root = Path(root).absolute()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one that holds annotations/ and the images")
    found = {}
    for name in splits or SPLITS:
        if split := _find_split(root, name, (annotations or {}).get(name), (images or {}).get(name)):
            found[name] = split
    missing = [name for name in splits or SPLITS if name not in found]
    if missing and (splits or not found):
        raise DataError(
            f"{root}: no annotations of {' or '.join(missing)}: looked for annotations/{missing[0]}.json and "
            f"annotations/instances_{missing[0]}<year>.json; {function('train')} and {function('check_dataset')} take "
            f"another by {param(f'{missing[0]}_ann')}"
        )
    return found


def _find_split(root: Path, name: str, annotations: Path | None, images: Path | None) -> Split | None:
    files = [_given(root, annotations, Path.is_file)] if annotations else _annotation_files(root, name)
    if images and not files:
        raise DataError(f"{root}: no annotations for the images of {name}; name them with {param(f'{name}_ann')}")
    for file in files:
        folders = [_given(root, images, Path.is_dir)] if images else image_folders(root, name, _tag(file))
        for folder in filter(Path.is_dir, folders):
            return Split(name, file, folder)
    if files:
        looked_for = _some_folders(root, image_folders(root, name, _tag(files[0])))
        raise DataError(
            f"{root}: no images for {files[0].name}: looked for {looked_for}; {function('train')} and "
            f"{function('check_dataset')} take another by {param(f'{name}_images')}"
        )
    return None


def find_test_dev(root: Path) -> Split:
    """Find COCO's images whose annotations are not public: `annotations/image_info_test-dev2017.json` with `test2017/`.

    Raises:
        DataError: If there is no such file (of any year, the newest counts), or no folder of its images.
    """
    root = Path(root).absolute()
    files = sorted((root / "annotations").glob("image_info_test-dev*.json"), reverse=True)
    if not files:
        raise DataError(
            f"{root}: no images of test-dev: looked for annotations/image_info_test-dev<year>.json; "
            f"name COCO's folder by {param('data')}"
        )
    folders = image_folders(root, "test", files[0].stem.replace("image_info_test-dev", "test"))
    for folder in filter(Path.is_dir, folders):
        return Split(TEST_DEV, files[0], folder)
    raise DataError(f"{root}: no images for {files[0].name}: looked for {_some_folders(root, folders)}")


def _annotation_files(root: Path, name: str) -> list[Path]:
    """Return the files that a layout would call the split's annotations, best first."""
    folder = root / "annotations"
    pattern = re.compile(rf"instances_{re.escape(name)}(\d{{4}})?\.json")
    coco = sorted((file for file in folder.glob("*.json") if pattern.fullmatch(file.name)), reverse=True)
    return [file for file in (*coco, folder / f"{name}.json") if file.is_file()]


def image_folders(root: Path, name: str, tag: str) -> list[Path]:
    """Return where a layout would have a split's images, best first.

    Args:
        root: The dataset's folder.
        name: The split's.
        tag: Its name with its year, or just that.
    """
    folders = (tag, f"images/{tag}", f"images/{name}", "images", "Images")
    return [root / folder for folder in dict.fromkeys(folders)]


def _tag(annotations: Path) -> str:
    """Return "train2017" of `instances_train2017.json`."""
    return annotations.stem.removeprefix("instances_")


def _some_folders(root: Path, folders: list[Path]) -> str:
    return ", ".join(f"{folder.relative_to(root)}/" for folder in folders)


def _given(root: Path, path: Path, is_right_kind: Callable[[Path], bool]) -> Path:
    """Return the absolute form of a path that the user named."""
    for candidate in (Path(path).absolute(), root / path):
        if is_right_kind(candidate):
            return candidate
    kind = "file" if is_right_kind is Path.is_file else "folder"
    raise DataError(f"{path}: no such {kind}, neither from the working folder nor from {root}")
