"""CrowdHuman's own annotation files: a JSON object per line, one for each image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from rgacli.data.annotations import is_box
from rgacli.errors import DataError
from rgacli.files import parse_json

PERSON = "person"

_BOXES = ("fbox", "vbox", "hbox")  # of the full body, its visible part, and the head

Record = dict[str, Any]
"""An image's `ID` and its `gtboxes`: each has a `tag`, boxes (x, y, w, h) px by _BOXES, and maybe `extra`."""


def load_odgt(path: Path) -> list[Record]:
    """Read official annotations.

    Raises:
        DataError: If the file cannot be read, is empty, or a line is not an image of its own with its boxes.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'})") from None
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = _parse(f"{path}:{number}", line)
            if record["ID"] in records:
                raise DataError(f"{path}:{number}: a second line of image {record['ID']}")
            records[record["ID"]] = record
    if not records:
        raise DataError(f"{path}: it holds no images; download it again")
    return list(records.values())


def is_ignored(box: Mapping[str, Any]) -> bool:
    """Return whether one of a record's boxes neither has to be found nor makes what is found there false."""
    return box["tag"] != PERSON or box.get("extra", {}).get("ignore", 0) != 0


def _parse(where: str, line: str) -> Record:
    try:
        record = parse_json(line)
    except ValueError:
        raise DataError(f"{where}: not valid JSON; the file may be cut short, download it again") from None
    if not isinstance(record, dict) or not isinstance(record.get("ID"), str):
        raise DataError(f'{where}: not an image: it has no "ID"')
    if not record["ID"] or PurePath(record["ID"]).name != record["ID"]:  # it becomes the name of a file
        raise DataError(f"{where}: image ID {record['ID']!r} is not a plain name")
    boxes = record.get("gtboxes")
    if not isinstance(boxes, list) or not all(isinstance(box, dict) for box in boxes):
        raise DataError(f'{where}: "gtboxes" is not a list of objects')
    for index, box in enumerate(boxes):
        if not isinstance(box.get("tag"), str):
            raise DataError(f'{where}: gtboxes[{index}]: no "tag"')
        if not isinstance(box.get("extra", {}), dict):
            raise DataError(f'{where}: gtboxes[{index}]: "extra" is not an object')
        for key in _BOXES:
            if not is_box(box.get(key)):
                raise DataError(f'{where}: gtboxes[{index}]: "{key}" is not four finite numbers')
    return record
