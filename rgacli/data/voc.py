"""Pascal VOC's layout: an XML file per image in Annotations/, its splits in ImageSets/Main/, images in JPEGImages/.

hotcoco's `COCO.from_voc` is not used: it knows no splits, takes an image's name from the `<filename>` in its XML file,
which is often that of before somebody renamed or converted it, and reads a file that was cut short as an image without
objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from rgacli.data.annotations import Annotations
from rgacli.data.check import Problem, image_size
from rgacli.data.images import images_in
from rgacli.data.splits import UNDIVIDED, Source
from rgacli.errors import DataError
from rgacli.messages import tell
from rgacli.progress import Progress

CLASSES = "labels.txt"
"""A class per line, in their order, as hotcoco's `to_voc` writes it."""

_SETS = {"train": ("train", "trainval"), "val": ("val",), "test": ("test",)}
_BESIDE = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}
_FOLDERS = (("Annotations", "JPEGImages"), ("Annotations", "images"), ("annotations", "images"))
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Labelled:
    """An XML file, and the folder and name of its image."""

    xml: Path
    folder: Path
    image: str | None  # of the file; None where there is none of the XML file's name


@dataclass(frozen=True)
class _Thing:
    name: str
    corners: tuple[float, ...]  # xmin, ymin, xmax, ymax, as they stand there
    difficult: bool


@dataclass(frozen=True)
class _Image:
    file_name: str
    size: tuple[int, int]  # width, height
    things: list[_Thing]


def find_voc(root: Path) -> Source | None:
    """Find a dataset in VOC's layout: in `root`, in its only folder VOC<year>, or in `root`/VOCdevkit.

    Splits are those of ImageSets/Main/{train,val,test}.txt, or trainval.txt where there is no train.txt; a split whose
    XML files are all missing, as those of VOC 2012's test are, is left out. Without ImageSets the dataset is undivided.
    Roboflow's export (`train/`, `valid/`, `test/` with images and XML files together) is found, too.

    Returns:
        None where it is another layout.

    Raises:
        DataError: If it is ambiguous, or a split lacks some of its XML files.
    """
    root = _year_folder(root)
    parts = _beside(root) or _in_annotations(root)
    if not parts:
        return None
    every = [labelled for part in parts.values() for labelled in part]
    lists = [root / CLASSES, *sorted((root / "ImageSets" / "Main").glob("*.txt"))]
    return Source(
        images={name: part[0].folder for name, part in parts.items()},
        contents=[*filter(Path.is_file, lists), *dict.fromkeys(labelled.xml for labelled in every)],
        listed=list(dict.fromkeys(labelled.folder / labelled.image for labelled in every if labelled.image)),
        read=lambda progress: _to_coco(root, parts, progress),
    )


def _year_folder(root: Path) -> Path:
    for base in (root, root / "VOCdevkit"):
        if years := [folder for folder in sorted(base.glob("VOC20*")) if (folder / "Annotations").is_dir()]:
            if len(years) > 1:
                names = ", ".join(folder.name for folder in years)
                raise DataError(f"{base}: it holds several datasets ({names}): name the one that is meant")
            return years[0]
    return root


def _beside(root: Path) -> dict[str, list[_Labelled]]:
    """Return the splits whose XML files lie beside their images."""
    parts = {}
    for name, folders in _BESIDE.items():
        for folder in (root / folder for folder in folders):
            if xmls := sorted(folder.glob("*.xml")):
                parts[name] = _labelled(xmls, folder)
                break
    return parts


def _in_annotations(root: Path) -> dict[str, list[_Labelled]]:
    """Return the splits, or the one part, of a dataset whose XML files are in a folder of their own."""
    for labels, images in ((root / labels, root / images) for labels, images in _FOLDERS):
        if images.is_dir() and (xmls := sorted(labels.glob("*.xml"))):
            break
    else:
        return {}
    by_stem = {labelled.xml.stem: labelled for labelled in _labelled(xmls, images)}
    parts = {}
    for split, sets in _SETS.items():
        file = next(filter(Path.is_file, (root / "ImageSets" / "Main" / f"{name}.txt" for name in sets)), None)
        if file is None:
            continue
        names = _names(file, by_stem)
        missing = [name for name in names if name not in by_stem]
        if len(missing) == len(names):
            tell(f"{file}: none of its {len(names)} images has an XML file in {labels}: no {split} split")
        elif missing:
            raise DataError(
                f"{file}: {len(missing)} of {len(names)} have no XML file in {labels} (first: {missing[0]})"
            )
        else:
            parts[split] = [by_stem[name] for name in names]
    return parts or {UNDIVIDED: list(by_stem.values())}


def _names(file: Path, known: Mapping[str, Any]) -> list[str]:
    """Return the names that an image set lists; what else VOC's tools put into a line is left out."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return list(dict.fromkeys(line if line in known else line.split()[0] for line in lines if line))


def _labelled(xmls: Sequence[Path], folder: Path) -> list[_Labelled]:
    images = {image.stem: image.name for image in reversed(images_in(folder, deep=False))}
    return [_Labelled(xml, folder, images.get(xml.stem)) for xml in xmls]


def _to_coco(root: Path, parts: Mapping[str, Sequence[_Labelled]], progress: Progress | None) -> dict[str, Annotations]:
    """Return part -> COCO annotations.

    - Boxes. VOC counts pixels from 1, and a box has its last ones: x = xmin - 1, width = xmax - xmin + 1, as
      detectron2 and hotcoco read it. A dataset with a coordinate below 1, or one that is no whole number, cannot be
      counted like that: there xmin and xmax are taken for the box's edges, as CVAT and Roboflow write them, and
      LabelImg does but for what lies at 0.
    - A `difficult` object becomes a crowd, COCO's nearest: it neither has to be found nor makes what is found there
      false, as VOC's own evaluation has it, and is not trained on.
    """
    read: dict[str, list[_Image]] = {}
    done, total = 0, sum(map(len, parts.values()))
    for name, part in parts.items():
        read[name] = []
        for labelled in part:
            read[name].append(_read(labelled))
            done += 1
            if progress:
                progress("reading", done, total)
    things = [thing for images in read.values() for image in images for thing in image.things]
    from_one = all(value >= 1 and value == int(value) for thing in things for value in thing.corners)
    if not from_one:
        tell(f"{root}: boxes are taken for edges counted from 0: some are below 1 or no whole numbers")
    if difficult := sum(thing.difficult for thing in things):
        tell(f"{root}: {difficult} of {len(things)} objects are difficult: not trained on, and ignored in evaluation")
    classes = _classes(root, {thing.name for thing in things})
    return {name: _content(images, classes, int(from_one)) for name, images in read.items()}


def _classes(root: Path, found: Iterable[str]) -> list[str]:
    """Return the classes in the order of labels.txt; those that it lacks, or all without it, by their names."""
    file = root / CLASSES
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    listed = [line.strip() for line in lines if line.strip()]
    return [*dict.fromkeys(listed), *sorted(set(found) - set(listed))]


def _content(images: Sequence[_Image], classes: Sequence[str], first: int) -> Annotations:
    categories = {name: index for index, name in enumerate(classes, start=1)}
    content: Annotations = {
        "images": [],
        "annotations": [],
        "categories": [{"id": index, "name": name} for name, index in categories.items()],
    }
    for image_id, image in enumerate(images, start=1):
        width, height = image.size
        content["images"].append({"id": image_id, "file_name": image.file_name, "width": width, "height": height})
        for thing in image.things:
            xmin, ymin, xmax, ymax = thing.corners
            w, h = round(xmax - xmin + first, 6), round(ymax - ymin + first, 6)  # as whole as the corners
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": categories[thing.name],
                    "bbox": [xmin - first, ymin - first, w, h],
                    "area": w * h,
                    "iscrowd": int(thing.difficult),
                }
            )
    return content


def _read(labelled: _Labelled) -> _Image:
    """Read an XML file; an image's size is read of the image where the file does not tell it.

    Raises:
        DataError: If it is malformed, or neither tells the size.
    """
    xml = labelled.xml
    try:
        root = ElementTree.parse(xml).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"{xml}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    told = PurePosixPath(root.findtext("filename", "").strip()).name
    beside = told if told and (labelled.folder / told).is_file() else None
    file_name = labelled.image or beside or told or f"{xml.stem}.jpg"
    size = tuple(int(_number(root.findtext(f"size/{side}", "0")) or 0) for side in ("width", "height"))
    if min(size) < 1:
        size = image_size(labelled.folder, file_name, decode=False)
        if isinstance(size, Problem):
            raise DataError(f"{xml}: it tells no size, nor can the image be read: {file_name}: {size.what}")
    things = [_thing(f"{xml}: object {index}", each) for index, each in enumerate(root.findall("object"), start=1)]
    return _Image(file_name, size, things)


def _thing(where: str, element: ElementTree.Element) -> _Thing:
    name = element.findtext("name", "").strip()
    if not name:
        raise DataError(f"{where}: no <name>")
    corners = []
    for corner in _CORNERS:
        value = _number(element.findtext(f"bndbox/{corner}", ""))
        if value is None:
            raise DataError(f"{where} ({name}): no number in <bndbox><{corner}>")
        corners.append(value)
    return _Thing(name, tuple(corners), bool(_number(element.findtext("difficult", "0"))))


def _number(text: str) -> float | None:
    """Return a finite number, a whole one as int; None for another text."""
    try:
        value = float(text)
        return int(value) if value == int(value) else value
    except (ValueError, OverflowError):
        return None
