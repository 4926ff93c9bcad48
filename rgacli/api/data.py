"""Datasets: drawing the synthetic one, preparing CrowdHuman, checking one, and writing one in another layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rgacli.config.catalogue import MAX_DETS
from rgacli.data import crowdhuman
from rgacli.data.annotations import load_annotations
from rgacli.data.check import SplitReport, check_splits
from rgacli.data.layout import named_files, read_dataset, recognise
from rgacli.data.scenes import MEDIAN_OBJECTS
from rgacli.data.synthetic import IMAGE_SIZE, MAX_OBJECTS, SIZES, embedded_dataset, write_dataset
from rgacli.data.writing import Images, SplitWritten, one_polygon_each, require_empty, write_coco, write_yolo
from rgacli.errors import UsageError
from rgacli.files import replacing_folder
from rgacli.progress import Progress
from rgacli.wording import param


def synth_dataset(
    folder: Path,
    *,
    train: int = SIZES["train"],
    val: int = SIZES["val"],
    test: int = SIZES["test"],
    size: str = "{}x{}".format(*IMAGE_SIZE),
    seed: int = 0,
    max_objects: int = MAX_OBJECTS,
    median_objects: int = MEDIAN_OBJECTS,
    progress: Progress | None = None,
) -> Path:
    """Draw a dataset of textured shapes in COCO format, a third each with 1-3, 4-7 and 8 or more objects.

    With the defaults it is the embedded dataset, which `train` uses where none is given.

    Args:
        folder: A new or empty folder to write into.
        train, val, test: Numbers of images.
        size: "WxH", width and height of the images in pixels.
        seed: Decides every image: the same seed draws the same ones.
        max_objects: The most objects in one image. Those that find no place are left out: 150 take about 384x320.
        median_objects: Half the images have no more; a quarter has more than twice as many.
        progress: Told of each image.

    Returns:
        The folder.

    Raises:
        UsageError: the folder is not empty, or a number is out of range.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if not match:
        raise UsageError(f"{param('size', size)}: not a width and a height, such as 160x128.")
    write_dataset(
        Path(folder),
        sizes={"train": train, "val": val, "test": test},
        image_size=(int(match[1]), int(match[2])),
        seed=seed,
        max_objects=max_objects,
        median_objects=median_objects,
        progress=progress,
    )
    return Path(folder)


@dataclass(frozen=True)
class CheckResult:
    """What a dataset holds and what is wrong with it.

    Attributes:
        dataset: Its folder or file.
        layout: What it was recognised as: "COCO", "Roboflow's COCO export", "YOLO", "Pascal VOC" or "one COCO file".
        ok: Whether training on it would work; there may be warnings.
        splits: Split -> report.
    """

    dataset: Path
    layout: str
    ok: bool
    splits: Mapping[str, SplitReport]


def check_dataset(
    folder: Path | None = None,
    *,
    split: str | Sequence[str] | None = None,
    train_ann: Path | None = None,
    val_ann: Path | None = None,
    test_ann: Path | None = None,
    train_images: Path | None = None,
    val_images: Path | None = None,
    test_images: Path | None = None,
    split_by: str | None = None,
    config: str | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """Check a dataset: its annotations, and that every image can be decoded and has the size they say.

    Args:
        folder: In a layout of COCO, Roboflow, YOLO or Pascal VOC, or one COCO file with its images; the embedded
            dataset without.
        split: Check this split alone, or these; by default those of train, val and test that it has.
        train_ann, val_ann, test_ann: Annotation files, where the folder does not tell.
        train_images, val_images, test_images: Image folders, where it does not tell.
        split_by: Shares of train, val and test, as "80:10:10", of a dataset that is not divided.
        config: A bundled name, mmdet::… or a file: images are looked for that have more objects than its limits let be
            detected. By default as many as COCO counts, 100, which is the limit of most configs.
        progress: Told of each image.

    Raises:
        UsageError, DataError: what is to be checked is not there.
    """
    annotations = {"train": train_ann, "val": val_ann, "test": test_ann}
    images = {"train": train_images, "val": val_images, "test": test_images}
    wanted = _splits(split)
    for name in annotations:
        if wanted and name not in wanted and (annotations[name] or images[name]):
            raise UsageError(
                f"files of {name} are named, which {param('split')} leaves out: add {param('split', name)}."
            )
    if folder is None and (named := named_files(annotations, images)):
        raise UsageError(f"{param(named[0])} is of a dataset: name its folder.")
    root = embedded_dataset(progress=progress) if folder is None else Path(folder)
    found = recognise(root, splits=wanted, annotations=annotations, images=images, split_by=split_by, progress=progress)
    reports = check_splits(found.splits, limit=_limit(config), progress=progress)
    problems = [problem for report in reports.values() for problem in report.problems]
    return CheckResult(root, found.layout, not any(problem.severity == "error" for problem in problems), reports)


@dataclass(frozen=True)
class ConvertResult:
    """A dataset that was written in another layout.

    Attributes:
        dataset: Its folder.
        layout: What the source was recognised as, as in CheckResult.
        masks: What became of masks: "kept" (COCO), "polygons" (YOLO), "boxes" (YOLO, where some object's is not one
            polygon); None where there are none.
        splits: Split -> what was written.
    """

    dataset: Path
    layout: str
    masks: Literal["kept", "polygons", "boxes"] | None
    splits: Mapping[str, SplitWritten]


def convert_dataset(
    source: Path,
    destination: Path,
    *,
    to: Literal["coco", "yolo"] = "coco",
    split_by: str | None = None,
    images: Images = "copy",
    progress: Progress | None = None,
) -> ConvertResult:
    """Write a dataset in COCO's format or YOLO's, from any layout that is recognised.

    Args:
        source: In a layout of COCO, Roboflow, YOLO or Pascal VOC, or one COCO file with its images.
        destination: A new or empty folder; it is written whole or not at all.
        to: "coco" (annotations/<split>.json, images/<split>/) or "yolo" (data.yaml, images/<split>/, labels/<split>/).
        split_by: Shares of train, val and test, as "80:10:10", of a dataset that is not divided.
        images: "copy" them, or "link" to where they are.
        progress: Told of each image.

    Raises:
        UsageError: the destination is not empty, or a parameter makes no sense.
        DataError: there is no dataset, or it is malformed or lacks images.
    """
    if to not in ("coco", "yolo") or images not in ("copy", "link"):
        raise UsageError(f"{param('to', to)}, {param('images', images)}: it can be coco or yolo, and copy or link.")
    destination = Path(destination).absolute()
    require_empty(destination)
    found = recognise(Path(source), split_by=split_by, progress=progress)
    read_dataset(Path(source), found.splits)  # all of the same classes
    content = {name: (split, load_annotations(split.annotations)) for name, split in found.splits.items()}
    annotations = [each for _, each in content.values()]
    masks = "kept" if any(each.get("segmentation") for every in annotations for each in every["annotations"]) else None
    if masks and to == "yolo":
        masks = "polygons" if one_polygon_each(annotations) else "boxes"
    with replacing_folder(destination) as temporary:
        if to == "coco":
            written = write_coco(temporary, content, images, progress=progress)
        else:
            written = write_yolo(temporary, content, images, polygons=masks == "polygons", progress=progress)
    return ConvertResult(destination, found.layout, masks, written)


def _limit(config: str | None) -> int | None:
    """Return the most objects of an image that a config's limits let be detected."""
    if config is None:
        return MAX_DETS
    from rgacli.config.files import load_config  # here, since they load torch
    from rgacli.config.limits import most_objects

    return most_objects(load_config(config))


@dataclass(frozen=True)
class CrowdHumanResult:
    """What became of a download of CrowdHuman.

    Attributes:
        dataset: Its folder.
        ok: Whether all images are there; annotations were written only then.
        splits: Split -> report.
    """

    dataset: Path
    ok: bool
    splits: Mapping[str, crowdhuman.Report]


def prepare_crowdhuman(
    folder: Path, *, split: str | Sequence[str] | None = None, progress: Progress | None = None
) -> CrowdHumanResult:
    """Prepare CrowdHuman for training on full bodies: write COCO annotations beside its official files.

    What is not unpacked yet is unpacked, and every image looked at. A dataset that was prepared is measured by
    CrowdHuman's own metrics.

    Args:
        folder: That of annotation_train.odgt, annotation_val.odgt, and Images/ or the archives as downloaded.
        split: Prepare this split alone, or these, of train and val; by default those whose annotations are there.
        progress: Told of each image that was unpacked, then of each that was read.

    Raises:
        UsageError, DataError: there is no such split, or annotations or an archive are not there or malformed.
    """
    reports = crowdhuman.prepare(Path(folder), splits=_splits(split), progress=progress)
    return CrowdHumanResult(Path(folder), not any(report.problems for report in reports.values()), reports)


def _splits(split: str | Sequence[str] | None) -> list[str] | None:
    """Return one or several as a list; None for all that there are."""
    return [split] if isinstance(split, str) else list(split or ()) or None
