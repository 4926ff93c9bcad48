"""Datasets: drawing the synthetic one, preparing CrowdHuman, and checking one before training on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgacli.data import crowdhuman
from rgacli.data.check import SplitReport, check_splits
from rgacli.data.layout import find_splits
from rgacli.data.synthetic import IMAGE_SIZE, MAX_OBJECTS, SIZES, embedded_dataset, write_dataset
from rgacli.errors import UsageError
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
    progress: Progress | None = None,
) -> Path:
    """Draw a dataset of textured shapes in COCO format, a third each with 1-3, 4-7 and 8 or more objects.

    With the defaults it is the embedded dataset, which `train` uses where none is given.

    Args:
        folder: A new or empty folder to write into.
        train, val, test: Numbers of images.
        size: "WxH", width and height of the images in pixels.
        seed: Decides every image: the same seed draws the same ones.
        max_objects: The most objects in one image.
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
        progress=progress,
    )
    return Path(folder)


@dataclass(frozen=True)
class CheckResult:
    """What a dataset holds and what is wrong with it.

    Attributes:
        dataset: Its folder.
        ok: Whether training on it would work; there may be warnings.
        splits: Split -> report.
    """

    dataset: Path
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
    progress: Progress | None = None,
) -> CheckResult:
    """Check a dataset: its annotations, and that every image can be decoded and has the size they say.

    Args:
        folder: COCO's layout, or annotations/{train,val,test}.json with images/; the embedded dataset without.
        split: Check this split alone, or these; by default those of train, val and test that it has.
        train_ann, val_ann, test_ann: Annotation files, where the folder does not tell.
        train_images, val_images, test_images: Image folders, where it does not tell.
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
    root = embedded_dataset(progress=progress) if folder is None else Path(folder)
    found = find_splits(root, splits=wanted, annotations=annotations, images=images)
    reports = check_splits(found, progress=progress)
    problems = [problem for report in reports.values() for problem in report.problems]
    return CheckResult(root, not any(problem.severity == "error" for problem in problems), reports)


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
