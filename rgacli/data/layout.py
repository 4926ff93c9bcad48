"""Finding a dataset in whatever layout it lies, and the classes that its splits share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgacli.data.annotations import category_difference, category_names, load_annotations
from rgacli.data.coco_layouts import find_coco, find_roboflow, find_single, given, is_coco, source_of
from rgacli.data.converted import convert_again, converted_splits
from rgacli.data.splits import SPLITS, UNDIVIDED, Source, Split
from rgacli.data.voc import find_voc
from rgacli.data.yolo import find_yolo
from rgacli.errors import DataError, UsageError
from rgacli.progress import Progress
from rgacli.wording import function, param

COCO, ROBOFLOW, YOLO, VOC, SINGLE = "COCO", "Roboflow's COCO export", "YOLO", "Pascal VOC", "one COCO file"

_LOOKED_FOR = (
    "annotations/instances_{train,val,test}<year>.json or annotations/{train,val,test}.json (COCO), "
    "{train,valid,test}/_annotations.coco.json (Roboflow), data.yaml (YOLO), Annotations/*.xml with JPEGImages/ "
    "(Pascal VOC), one COCO file such as annotations.json with its images"
)


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
            there = ", ".join(self.splits)
            hint = f"; {param('split_by', '80:10:10')} divides it" if len(self.splits) == 1 else ""
            raise DataError(f"{self.root} has no split {name!r}; it has {there}{hint}")
        return self.splits[name]


@dataclass(frozen=True)
class Found:
    """What a dataset was recognised as.

    Attributes:
        layout: COCO (its own or ours), ROBOFLOW, YOLO, VOC or SINGLE.
        splits: Split -> where its files are.
    """

    layout: str
    splits: dict[str, Split]


def find_dataset(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    annotations: Mapping[str, Path | None] | None = None,
    images: Mapping[str, Path | None] | None = None,
    split_by: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Find a dataset and read its classes.

    Args:
        root: The dataset's folder or file, in one of the layouts of `recognise`.
        splits: The splits wanted; None for those of SPLITS that there are. Naming only what is used spares reading
            the others' annotations, and lets a dataset do that has nothing else.
        annotations: Split -> annotation file, where the layout does not tell (None: it does).
        images: Split -> image folder, likewise.
        split_by: Shares of train, val and test, as "80:10:10", of a dataset that is not divided.
        progress: Told of each image that is read to convert the annotations.

    Raises:
        UsageError: As `recognise`.
        DataError: As `recognise` and `read_dataset`.
    """
    found = recognise(root, splits=splits, annotations=annotations, images=images, split_by=split_by, progress=progress)
    return read_dataset(root, found.splits)


def read_dataset(root: Path, splits: Mapping[str, Split]) -> Dataset:
    """Return a dataset with some of the splits that were found.

    Raises:
        DataError: If an annotation file is malformed, has no categories, or others than the first.
    """
    names = {split.name: category_names(load_annotations(split.annotations)) for split in splits.values()}
    first, *others = names
    if not names[first]:
        raise DataError(f"{splits[first].annotations}: it lists no categories, so there is no class to detect")
    for other in others:
        if difference := category_difference(names[first], names[other]):
            raise DataError(f"{splits[other].annotations}: its categories are not those of {first}: {difference}")
    return Dataset(root=Path(root).absolute(), splits=dict(splits), classes=tuple(names[first].values()))


def find_splits(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    annotations: Mapping[str, Path | None] | None = None,
    images: Mapping[str, Path | None] | None = None,
) -> dict[str, Split]:
    """Return split -> where its files are, as `recognise` does."""
    return recognise(root, splits=splits, annotations=annotations, images=images).splits


def recognise(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    annotations: Mapping[str, Path | None] | None = None,
    images: Mapping[str, Path | None] | None = None,
    split_by: str | None = None,
    progress: Progress | None = None,
) -> Found:
    """Find the splits of a dataset, in the first of these layouts that has any.

    - COCO's and ours: see `find_coco`. These two are told by the names of their files; none is opened.
    - Roboflow's COCO export: see `find_roboflow`.
    - YOLO: see `find_yolo`. `root` may be its data.yaml.
    - Pascal VOC: see `find_voc`.
    - One COCO file and a folder of images: see `find_single`. `root` may be the file.

    Annotations that are not COCO's, or are to be divided, are converted once and kept in the cache
    (`converted_splits`). The arguments are those of `find_dataset`; a path in `annotations` or `images` is taken from
    the working folder or, if it is not there, from `root`.

    Raises:
        UsageError: If `split_by` is malformed, or the dataset has splits already.
        DataError: If no dataset is found, or not all the splits that are wanted, or it is malformed; if a split has
            annotations but no images; if the dataset is not divided and there is no `split_by`.
    """
    root = Path(root).absolute()
    if not root.exists():
        raise DataError(f"{root}: no such folder; name that of a dataset, or its data.yaml or COCO file")
    layout, found = _find(root, splits or SPLITS, annotations or {}, images or {})
    if isinstance(found, Source) or split_by:
        source = found if isinstance(found, Source) else source_of(found)
        if UNDIVIDED in source.images and not split_by:
            raise DataError(
                f"{root} ({layout}) is not divided into splits: give {param('split_by', '80:10:10')} to "
                f"{function('train')}, {function('check_dataset')} or {function('analyze_dataset')}, or write it "
                f"divided by {function('convert_dataset')}"
            )
        found = converted_splits(root, source, layout, split_by, progress=progress)
    missing = [name for name in splits or () if name not in found]
    if missing and layout == COCO:
        other = f"{function('train')} and {function('check_dataset')} take another by {param(f'{missing[0]}_ann')}"
        raise DataError(
            f"{root}: no annotations of {' or '.join(missing)}: looked for annotations/{missing[0]}.json and "
            f"annotations/instances_{missing[0]}<year>.json" + f"; {other}" * (missing[0] in SPLITS)
        )
    if missing:
        raise DataError(f"{root} ({layout}) has no split {missing[0]!r}; it has {', '.join(found)}")
    return Found(layout, {name: found[name] for name in splits or found})


def restore_annotations(annotations: Path, root: Path, split_by: str | None) -> None:
    """Convert a dataset again whose converted annotations are gone from the cache.

    Args:
        annotations: The file that is gone.
        root: What it was converted from.
        split_by: What divided it.

    Raises:
        UsageError, DataError: As `recognise`.
        DataError: If the dataset has changed since.
    """
    _, found = _find(root, SPLITS, {}, {})
    source = found if isinstance(found, Source) else source_of(found)
    if not convert_again(annotations.parent, root, source, split_by):
        raise DataError(
            f"{annotations}: gone from the cache, and cannot be made again: {root} has changed since. Name the dataset "
            f"by {param('data')}, or train on it anew"
        )


def named_files(annotations: Mapping[str, Path | None], images: Mapping[str, Path | None]) -> list[str]:
    """Return the parameters that name files of a dataset: "train_ann", "val_images", …, the annotations first.

    Args:
        annotations, images: Split -> what is named of it, if anything.
    """
    files = {"ann": annotations, "images": images}
    return [f"{split}_{kind}" for kind, own in files.items() for split, path in own.items() if path]


def _find(
    root: Path,
    wanted: Sequence[str],
    annotations: Mapping[str, Path | None],
    images: Mapping[str, Path | None],
) -> tuple[str, dict[str, Split] | Source]:
    """Return a layout's name, and its splits or what is yet to be converted."""
    if root.is_dir() and (any(annotations.values()) or is_coco(root, wanted)):
        return COCO, find_coco(root, wanted, annotations, images)
    named = named_files(annotations, images)
    for layout, find in _finders(root, images.get("train")).items():
        if found := find(root):
            if named and (layout, named) != (SINGLE, ["train_images"]):
                raise UsageError(f"{root} ({layout}) tells by itself where its files are: leave out {param(named[0])}.")
            return layout, found
    raise DataError(
        f"{root}: no dataset is recognised: looked for {_LOOKED_FOR}; {function('train')} and "
        f"{function('check_dataset')} take others by {param('train_ann')}"
    )


def _finders(root: Path, images: Path | None) -> dict[str, Callable[[Path], dict[str, Split] | Source | None]]:
    """Return the layouts that a folder, or a file of its kind, may be."""

    def single(root: Path) -> Source | None:
        return find_single(root, given(root, images, Path.is_dir) if images else None)

    finders = {ROBOFLOW: find_roboflow, YOLO: find_yolo, VOC: find_voc, SINGLE: single}
    if root.is_dir():
        return finders
    layout = {".json": SINGLE, ".yaml": YOLO, ".yml": YOLO}.get(root.suffix.lower())
    return {layout: finders[layout]} if layout else {}
