"""A disk of its own in memory, which can be made full and be emptied again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.trial import NotHere

BLOCK = 4096
"""Bytes that a file takes at least, and in multiples of which it grows."""


@dataclass(frozen=True)
class Volume:
    """A mounted tmpfs.

    Args:
        path: Where.
    """

    path: Path

    def leave(self, blocks: int | None = None, files: int | None = None) -> None:
        """Have room for so much more: blocks of BLOCK bytes, and files and folders. Without a number, for enough."""
        now = os.statvfs(self.path)
        size = BLOCK * (now.f_blocks - now.f_bfree + (1 << 17 if blocks is None else blocks))
        inodes = now.f_files - now.f_ffree + (1 << 20 if files is None else files)
        _mount("-o", f"remount,size={size},nr_inodes={inodes}", self.path)

    def protect(self) -> None:
        """Have nothing written to it any more."""
        _mount("-o", "remount,ro", self.path)


@contextmanager
def volume(path: Path) -> Iterator[Volume]:
    """Yield a disk that is mounted at a new folder.

    Raises:
        NotHere: one needs the right to.
    """
    path.mkdir()
    _mount("-t", "tmpfs", "-o", "size=512m,mode=755", "tmpfs", path)
    try:
        yield Volume(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def _mount(*arguments: object) -> None:
    try:
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    except OSError as error:
        raise NotHere(f"no mount: {error}") from None
    if done.returncode:
        raise NotHere(done.stderr.strip() or "mount refused")
