"""What all tests share is made once, however many workers run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> tuple[Path, object]:
    """Return a folder that all workers share, and what `make` returned (as JSON keeps it) when it filled it.

    The first worker that asks fills the folder; the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    if base.name.startswith("popen-"):  # of one of several workers; its parent is theirs
        base = base.parent
    folder, made = base / name, base / f"{name}.json"
    with FileLock(base / f"{name}.lock"):
        if not made.is_file():
            folder.mkdir()
            made.write_text(json.dumps(make(folder)))
    return folder, json.loads(made.read_text())
