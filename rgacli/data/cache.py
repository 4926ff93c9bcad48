"""The user's cache: what is made once and can be made again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rgacli.files import naming


def cache_folder() -> Path:
    """Return the cache: $RGACLI_CACHE, or $XDG_CACHE_HOME/rgacli, or ~/.cache/rgacli."""
    if own := os.environ.get("RGACLI_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rgacli"


def kept(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that is made on first use, whole or not at all.

    Processes that make it at the same time do not disturb one another: each makes its own, and the first to finish
    puts it in place.

    Args:
        folder: Where it is kept.
        make: Makes it at the path that it is given, where nothing is yet.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = f".{folder.name}-"
    with (
        naming(folder, folder.parent / hidden),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=hidden) as temporary,
    ):
        made = Path(temporary) / folder.name
        make(made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    return folder
