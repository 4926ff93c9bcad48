"""What a dataset is divided into, and what a dataset is before its annotations are COCO's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgacli.data.annotations import Annotations
from rgacli.progress import Progress

SPLITS = ("train", "val", "test")
UNDIVIDED = "all"
"""The part that a dataset without splits has."""


@dataclass(frozen=True)
class Split:
    """One part of a dataset: a COCO annotation file and the folder its file names are relative to, both absolute.

    Attributes:
        name: Of SPLITS, as a rule.
        annotations: The file.
        images: The folder.
        converted_from: The dataset (its folder, or file) and the spec that divided it, if any, where the annotation
            file was made from other files and is kept in the cache; None where it is the dataset's own.
    """

    name: str
    annotations: Path
    images: Path
    converted_from: tuple[Path, str | None] | None = None


@dataclass(frozen=True)
class Source:
    """A dataset whose annotations have to be converted to COCO's.

    Attributes:
        images: Part -> the folder that its file names will be relative to. The parts are splits, or UNDIVIDED alone.
        contents: The files that the annotations are made from.
        listed: Images of which only name and size on disk are looked at to tell whether the dataset has changed.
        read: Returns part -> COCO annotations.
    """

    images: dict[str, Path]
    contents: Sequence[Path]
    listed: Sequence[Path]
    read: Callable[[Progress | None], dict[str, Annotations]]
