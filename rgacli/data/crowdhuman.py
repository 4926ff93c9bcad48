"""CrowdHuman [Shao et al., arXiv 1805.00123]: from its official download to COCO annotations of full bodies."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rgacli.data.annotations import CROWDHUMAN, Annotations
from rgacli.data.check import Problem, image_size
from rgacli.data.coco_layouts import image_folders
from rgacli.data.odgt import PERSON, Record, is_ignored, load_odgt
from rgacli.errors import DataError, UsageError
from rgacli.files import replacing, write_json
from rgacli.progress import Progress, in_threads
from rgacli.wording import function, param

SPLITS = ("train", "val")  # no annotations of the third, test, are published

_ARCHIVES = {"train": "CrowdHuman_train*.zip", "val": "CrowdHuman_val.zip"}


@dataclass(frozen=True)
class Report:
    """What a split holds, and what keeps it from being prepared.

    Attributes:
        annotation_file: The COCO annotations; written unless a split has problems.
        image_folder: Where its images lie.
        images: Number of images.
        persons: Number of boxes that count.
        ignored: Number of boxes to ignore.
        problems: One for each image that is missing or unreadable.
    """

    annotation_file: Path
    image_folder: Path
    images: int
    persons: int
    ignored: int
    problems: list[Problem]


def prepare(root: Path, *, splits: Sequence[str] | None = None, progress: Progress | None = None) -> dict[str, Report]:
    """Make the official download trainable.

    Images still in their archives are unpacked. Per split, two files are written, unless an image of any split is
    missing or unreadable: `annotations/<split>.json`, COCO annotations of full bodies, not clipped to their images,
    with `iscrowd` for boxes to ignore; and `id_hw_<split>.json`, the image sizes that mmdet's CrowdHumanDataset wants.

    Args:
        root: Folder of annotation_train.odgt, annotation_val.odgt, and Images/ or the archives.
        splits: Of SPLITS; None for those whose odgt file is there.
        progress: Told of each image that was unpacked, then of each that was read, split by split.

    Returns:
        Split -> report.

    Raises:
        UsageError: If there is no such split.
        DataError: If there are no annotations, or annotations or an archive are malformed.
    """
    root = Path(root).absolute()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one that holds CrowdHuman's files")
    for split in splits or ():
        if split not in SPLITS:
            raise UsageError(f"{param('split', split)}: it can be {' or '.join(SPLITS)}.")
    sources = {split: root / f"annotation_{split}.odgt" for split in splits or SPLITS}
    if not splits:
        sources = {split: source for split, source in sources.items() if source.is_file()}
    if not sources:
        names = " nor ".join(f"annotation_{split}.odgt" for split in SPLITS)
        raise DataError(f"{root}: neither {names} is there; get them from https://www.crowdhuman.org")

    reports, contents = {}, {}
    for split, source in sources.items():
        records = load_odgt(source)
        target = root / "annotations" / f"{split}.json"
        folder = next(filter(Path.is_dir, image_folders(root, split, split)), root / "Images")
        _unpack(root, split, records, folder, progress)
        sizes, problems = _read_sizes(folder, records, progress)
        contents[split] = records, sizes
        ignored = sum(is_ignored(box) for record in records for box in record["gtboxes"])
        persons = sum(len(record["gtboxes"]) for record in records) - ignored
        reports[split] = Report(target, folder, len(records), persons, ignored, problems)
    if not any(report.problems for report in reports.values()):
        for split, (records, sizes) in contents.items():
            heights_first = {image: (height, width) for image, (width, height) in sizes.items()}
            write_json(root / f"id_hw_{split}.json", heights_first)
            write_json(reports[split].annotation_file, _to_coco(records, sizes, f"../{sources[split].name}"))
    return reports


def official_records(annotations: Mapping[str, Any], path: Path) -> list[Record]:
    """Return what the COCO annotations in `path` were made from: the official ones of its images, in their order.

    Raises:
        DataError: they are not there, are malformed, or lack an image.
    """
    odgt = Path(os.path.normpath(path.parent / annotations["info"]["odgt"]))
    if not odgt.is_file():
        raise DataError(f"{odgt}: no such file, and CrowdHuman's metrics are computed from it: put it back.")
    records = {record["ID"]: record for record in load_odgt(odgt)}
    names = [image["crowdhuman_id"] for image in annotations["images"]]
    if missing := [name for name in names if name not in records]:
        raise DataError(
            f"{odgt}: it lacks {len(missing)} of the {len(names)} images of {path} (first: {missing[0]}); prepare them "
            f"again by {function('prepare_crowdhuman')}."
        )
    return [records[name] for name in names]


def _unpack(root: Path, split: str, records: list[Record], folder: Path, progress: Progress | None) -> None:
    """Take a split's images that are not in `folder` out of the archives there are, and nothing else."""
    names = {_file_name(record) for record in records}
    wanted = {name for name in names if not (folder / name).is_file()}
    archives = sorted(root.glob(_ARCHIVES[split])) if wanted else []
    found = []
    for archive in archives:
        with _opened(archive) as content:
            found += [(archive, member) for member in content.infolist() if _base_name(member) in wanted]
    done = 0
    for archive in archives:
        with _opened(archive) as content:
            for member in (member for home, member in found if home == archive):
                path = folder / _base_name(member)
                with content.open(member) as source, replacing(path) as temporary, temporary.open("wb") as target:
                    shutil.copyfileobj(source, target)
                done += 1
                if progress:
                    progress("unpacking", done, len(found))


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as content:
            yield content
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive}: cannot be unpacked ({error}); download it again") from None


def _base_name(member: zipfile.ZipInfo) -> str:
    """Return a member's own name: its folders are not trusted to lie inside ours."""
    return PurePosixPath(member.filename).name


def _read_sizes(
    folder: Path, records: list[Record], progress: Progress | None
) -> tuple[dict[str, tuple[int, int]], list[Problem]]:
    """Return image ID -> (width, height) px, and the problem of each image that has none."""
    found = in_threads(
        lambda record: image_size(folder, _file_name(record), decode=False), records, progress, "reading"
    )
    sizes, problems = {}, []
    for record, size in zip(records, found, strict=True):
        if isinstance(size, Problem):
            problems.append(size)
        else:
            sizes[record["ID"]] = size
    return sizes, problems


def _to_coco(records: list[Record], sizes: Mapping[str, tuple[int, int]], odgt: str) -> Annotations:
    images, annotations = [], []
    for image_id, record in enumerate(records, start=1):
        width, height = sizes[record["ID"]]
        image = {"id": image_id, "file_name": _file_name(record), "width": width, "height": height}
        images.append({**image, "crowdhuman_id": record["ID"]})
        for box in record["gtboxes"]:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": box["fbox"],
                    "area": box["fbox"][2] * box["fbox"][3],
                    "iscrowd": int(is_ignored(box)),
                    "vis_bbox": box["vbox"],
                    "head_bbox": box["hbox"],
                }
            )
    return {
        "info": {"description": "CrowdHuman, full bodies", "dataset": CROWDHUMAN, "odgt": odgt},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": PERSON}],
    }


def _file_name(record: Record) -> str:
    return f"{record['ID']}.jpg"
