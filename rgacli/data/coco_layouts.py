"""Where the layouts that have COCO annotation files keep them and their images: COCO's own, ours, and Roboflow's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rgacli.data.annotations import Annotations, read_annotations
from rgacli.data.splits import SPLITS, UNDIVIDED, Source, Split
from rgacli.errors import DataError
from rgacli.progress import Progress
from rgacli.wording import function, param

TEST_DEV = "test-dev"
"""COCO's images whose annotations are not public."""
ROBOFLOW = "_annotations.coco.json"
SINGLE_FILES = ("annotations.json", "result.json", ROBOFLOW, "labels.json", "instances_default.json")
"""What tools call a file that all of a dataset's annotations are in: best first."""

_ROBOFLOW_FOLDERS = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}
_LOOKED_AT = 20  # of the images that a file lists, to tell which folder they are in


def find_coco(
    root: Path, wanted: Sequence[str], annotations: Mapping[str, Path | None], images: Mapping[str, Path | None]
) -> dict[str, Split]:
    """Find splits of COCO's layout or ours by the names of their files, without opening any.

    - COCO's: `annotations/instances_train2017.json` (any year or none; the newest that has images) with `train2017/`.
    - ours: `annotations/train.json` with `images/train/` or, shared by the splits, `images/` (CrowdHuman: `Images/`).

    Raises:
        DataError: If a split has annotations but no images, or something that is named is not there.
    """
    found = (_find_split(root, name, annotations.get(name), images.get(name)) for name in wanted)
    return {split.name: split for split in found if split}


def is_coco(root: Path, wanted: Sequence[str]) -> bool:
    """Return whether there are annotations of any split that `find_coco` would find."""
    return any(_annotation_files(root, name) for name in (*SPLITS, *wanted))


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


def find_roboflow(root: Path) -> dict[str, Split] | Source | None:
    """Find Roboflow's COCO export: `train/_annotations.coco.json` beside its images, likewise `valid/` and `test/`.

    Roboflow puts a category before the classes, with id 0 and the project's name, that the others name as their
    supercategory and that no object has. It would be a class that is never found, or have the name of one, so the
    annotations are converted to such that lack it. An export without it is used as it is.

    Returns:
        The splits, or what is to be converted; None where it is another layout.
    """
    splits = {
        name: Split(name, root / folder / ROBOFLOW, root / folder)
        for name, folders in _ROBOFLOW_FOLDERS.items()
        for folder in folders
        if (root / folder / ROBOFLOW).is_file()
    }
    if not splits:
        return None
    contents = {name: read_annotations(split.annotations) for name, split in splits.items()}
    return source_of(splits) if _groupings(contents.values()) else splits


def find_single(root: Path, images: Path | None = None) -> Source | None:
    """Find a COCO file that holds all annotations of a dataset, and the folder of its images.

    Args:
        root: The file, or a folder that has it, there or in `annotations/`: by a name of SINGLE_FILES, or the only
            JSON file there.
        images: The folder of its images; by default the one, of those in and around the file's, that has them.

    Returns:
        A source with the part UNDIVIDED; None where there is no such file.

    Raises:
        DataError: If the file is no COCO annotation file, or the images are not found.
    """
    file = root if root.is_file() else _single_file(root)
    if file is None:
        return None
    listed = [image.get("file_name") for image in read_annotations(file)["images"][:_LOOKED_AT]]
    names = [name for name in listed if isinstance(name, str)]
    bases = [file.parent, file.parent.parent] if file.parent.name == "annotations" else [file.parent]
    places = (".", "images", "Images", "data", "images/default", file.stem)
    folders = [images] if images else [base / place for base in bases for place in places]
    found = {folder: sum((folder / name).is_file() for name in names) for folder in folders}
    best = max(found, key=lambda folder: found[folder])
    if names and not found[best]:
        looked_for = ", ".join(map(str, folders))
        raise DataError(f"{file}: its images (first: {names[0]}) are not found: looked in {looked_for}")
    return source_of({UNDIVIDED: Split(UNDIVIDED, file, best)})


def source_of(splits: Mapping[str, Split]) -> Source:
    """Return COCO annotation files as what is yet to be converted: read, less the categories that only group others."""

    def read(progress: Progress | None) -> dict[str, Annotations]:
        contents = {name: read_annotations(split.annotations) for name, split in splits.items()}
        groupings = _groupings(contents.values())
        for content in contents.values():
            content["categories"] = [each for each in content["categories"] if each.get("id") not in groupings]
        return contents

    return Source(
        images={name: split.images for name, split in splits.items()},
        contents=[split.annotations for split in splits.values()],
        listed=(),
        read=read,
    )


def image_folders(root: Path, name: str, tag: str) -> list[Path]:
    """Return where a layout would have a split's images, best first.

    Args:
        root: The dataset's folder.
        name: The split's.
        tag: Its name with its year, or just that.
    """
    folders = (tag, f"images/{tag}", f"images/{name}", "images", "Images")
    return [root / folder for folder in dict.fromkeys(folders)]


def _groupings(contents: Iterable[Annotations]) -> set[int]:
    """Return the ids of categories that others name as their supercategory and that no object in any file has."""
    contents = list(contents)
    categories = [each for content in contents for each in content["categories"]]
    used = {each.get("category_id") for content in contents for each in content["annotations"]}
    members = {(each.get("supercategory"), each.get("id")) for each in categories}
    return {
        each["id"]
        for each in categories
        if each.get("id") not in used
        and any(name == each.get("name") and member != each.get("id") for name, member in members)
    }


def _single_file(root: Path) -> Path | None:
    """Return the file that `find_single` looks for in a folder."""
    folders = [root, root / "annotations"]
    for file in (folder / name for folder in folders for name in SINGLE_FILES):
        if file.is_file():
            return file
    for files in (sorted(folder.glob("[!.]*.json")) for folder in folders):
        if len(files) == 1:
            with suppress(DataError):
                read_annotations(files[0])
                return files[0]
    return None


def _find_split(root: Path, name: str, annotations: Path | None, images: Path | None) -> Split | None:
    files = [given(root, annotations, Path.is_file)] if annotations else _annotation_files(root, name)
    if images and not files:
        raise DataError(f"{root}: no annotations for the images of {name}; name them with {param(f'{name}_ann')}")
    for file in files:
        folders = [given(root, images, Path.is_dir)] if images else image_folders(root, name, _tag(file))
        for folder in filter(Path.is_dir, folders):
            return Split(name, file, folder)
    if files:
        looked_for = _some_folders(root, image_folders(root, name, _tag(files[0])))
        raise DataError(
            f"{root}: no images for {files[0].name}: looked for {looked_for}; {function('train')} and "
            f"{function('check_dataset')} take another by {param(f'{name}_images')}"
        )
    return None


def _annotation_files(root: Path, name: str) -> list[Path]:
    """Return the files that a layout would call the split's annotations, best first."""
    folder = root / "annotations"
    pattern = re.compile(rf"instances_{re.escape(name)}(\d{{4}})?\.json")
    coco = sorted((file for file in folder.glob("*.json") if pattern.fullmatch(file.name)), reverse=True)
    return [file for file in (*coco, folder / f"{name}.json") if file.is_file()]


def _tag(annotations: Path) -> str:
    """Return "train2017" of `instances_train2017.json`."""
    return annotations.stem.removeprefix("instances_")


def _some_folders(root: Path, folders: list[Path]) -> str:
    return ", ".join(f"{folder.relative_to(root)}/" for folder in folders)


def given(root: Path, path: Path, is_right_kind: Callable[[Path], bool]) -> Path:
    """Return the absolute form of a path that the user named, from the working folder or from `root`."""
    for candidate in (Path(path).absolute(), root / path):
        if is_right_kind(candidate):
            return candidate
    kind = "file" if is_right_kind is Path.is_file else "folder"
    raise DataError(f"{path}: no such {kind}, neither from the working folder nor from {root}")
