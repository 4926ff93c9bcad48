"""mmengine's reading of local files, which would wait for ever at a FIFO and read a device without end."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


class RegularFiles(LocalBackend):
    """LocalBackend that reads files alone."""

    def get(self, filepath: str | Path) -> bytes:
        """Return a file's content.

        Raises:
            OSError: it is a FIFO, a socket or a device.
        """
        if os.path.exists(filepath) and not (os.path.isfile(filepath) or os.path.isdir(filepath)):
            raise OSError(f"failed to load image: {filepath} is a FIFO, a socket or a device")
        return super().get(filepath)


def install() -> None:
    """Have mmengine, mmcv and mmdet read by it all that has no other prefix (http://, s3://, …)."""
    register_backend("local", RegularFiles, force=True, prefixes="")
