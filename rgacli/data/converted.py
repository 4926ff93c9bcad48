"""Annotations converted to COCO's once and kept in the user's cache; images stay where they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from rgacli.data.annotations import malformed_entries
from rgacli.data.cache import cache_folder, kept
from rgacli.data.dividing import divide, parse_split_by
from rgacli.data.splits import SPLITS, Source, Split
from rgacli.errors import DataError, UsageError
from rgacli.files import write_json
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.wording import param

_VERSION = 1  # raise it with every change of what is written: what another version wrote is not used


def converted_splits(
    root: Path, source: Source, layout: str, split_by: str | None = None, *, progress: Progress | None = None
) -> dict[str, Split]:
    """Return a dataset's splits, with annotations converted on first use and whenever the dataset has changed.

    They are kept in the cache under a name made of the content of the dataset's files, so the dataset itself is never
    written to, and may be moved.

    Args:
        root: The dataset's folder or file.
        source: What is to be converted.
        layout: What messages call it.
        split_by: Divide its only part into splits of these shares, as "80:10:10".
        progress: Told of each image where its file is read.

    Raises:
        UsageError: If the dataset has splits already.
        DataError: As the source's `read`, or if it cannot be divided.
    """
    shares = parse_split_by(split_by) if split_by else {}
    if shares and len(source.images) > 1:
        raise UsageError(f"{root} has its splits already ({', '.join(source.images)}): leave out {param('split_by')}.")
    folder = cache_folder().absolute() / "annotations" / f"{root.stem or 'dataset'}-{_digest(root, source, shares)}"
    if not folder.is_dir():
        kept(folder, lambda folder: _write(folder, source, shares, progress))
        tell(f"{root} ({layout}): its annotations are converted to COCO's in {folder}")
    images = dict.fromkeys(shares, *source.images.values()) if shares else source.images
    return {
        name: Split(name, folder / f"{name}.json", images[name], (root, split_by))
        for name in sorted(images, key=SPLITS.index)
    }


def convert_again(folder: Path, root: Path, source: Source, split_by: str | None) -> bool:
    """Make a folder that is gone from the cache again where it was: configs name it. Return False if it cannot be.

    It cannot where the dataset has changed since, since its name is made of the content.
    """
    shares = parse_split_by(split_by) if split_by else {}
    if not folder.name.endswith(f"-{_digest(root, source, shares)}"):
        return False
    kept(folder, lambda folder: _write(folder, source, shares, None))
    return True


def _write(folder: Path, source: Source, shares: dict[str, int], progress: Progress | None) -> None:
    contents = source.read(progress)
    if shares:
        (content,) = contents.values()
        for section, index, what in malformed_entries(content):
            raise DataError(f"{source.contents[0]}: {section}[{index}]: {what}")
        contents = divide(content, shares)
    for name, content in contents.items():
        write_json(folder / f"{name}.json", content)


def _digest(root: Path, source: Source, shares: dict[str, int]) -> str:
    """Return what tells one content of a dataset from another: wherever it lies, whenever it was written."""
    digest = hashlib.sha256(f"{_VERSION} {shares} {list(source.images)}".encode())
    base = root if root.is_dir() else root.parent
    for path in source.contents:
        digest.update(f"\n{os.path.relpath(path, base)}\n".encode(errors="surrogateescape"))
        digest.update(path.read_bytes())
    for path in source.listed:
        digest.update(f"\n{os.path.relpath(path, base)} {path.stat().st_size}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
