"""What a dataset was when a training began, so that one that is gone on with can tell what has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rgacli.data.annotations import Annotations, category_names, gt_counts
from rgacli.errors import DataError
from rgacli.files import write_text
from rgacli.wording import some


@dataclass(frozen=True)
class SplitFacts:
    """A split of a dataset, in short.

    Attributes:
        sha256: Of its annotation file.
        images: Number of them.
        image_bytes: Of all their files.
        objects: Number of them, crowds included.
        classes: Their names, by label.
        densest: Number of objects in the densest image, crowds left out.
    """

    sha256: str
    images: int
    image_bytes: int
    objects: int
    classes: tuple[str, ...]
    densest: int

    @classmethod
    def of(cls, path: Path, content: Annotations, image_bytes: int) -> SplitFacts:
        """Return those of an annotation file with its content."""
        return cls(
            sha256=_sha256(path),
            images=len(content["images"]),
            image_bytes=image_bytes,
            objects=len(content["annotations"]),
            classes=tuple(category_names(content).values()),
            densest=max(gt_counts(content).values(), default=0),
        )

    def differences(self, before: SplitFacts) -> Iterator[str]:
        """Yield in what it differs from what it was: "7 images for 8"."""
        counted = [
            f"{own} {what} for {old}"
            for what, own, old in (
                ("images", self.images, before.images),
                ("objects", self.objects, before.objects),
            )
            if own != old
        ]
        yield from counted
        if self.classes != before.classes:
            yield f"classes {some(self.classes)} for {some(before.classes)}"
        elif self.sha256 != before.sha256 and not counted:
            yield "other annotations, as many as before"
        if self.image_bytes != before.image_bytes and self.images == before.images:
            yield f"other image files ({self.image_bytes} bytes for {before.image_bytes})"


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def write_fingerprint(path: Path, splits: Mapping[str, SplitFacts]) -> None:
    """Write what a dataset is, split by split, as JSON."""
    write_text(path, json.dumps({split: asdict(facts) for split, facts in splits.items()}, indent=1) + "\n")


def read_fingerprint(path: Path) -> dict[str, SplitFacts]:
    """Return what `write_fingerprint` wrote: split -> facts; none where there is no such file.

    Raises:
        DataError: the file is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {split: SplitFacts(**{**facts, "classes": tuple(facts["classes"])}) for split, facts in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{path} is damaged: remove it, and go on without comparing the dataset.") from error
