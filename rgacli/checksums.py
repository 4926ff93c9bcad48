"""Damage to files that bring the checksums of their parts with them."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from pathlib import Path

# What zipfile says of damaged headers, besides BadZipFile.
_NO_ZIP = (RuntimeError, EOFError, ValueError, LookupError, OverflowError, struct.error, zlib.error)


def spoilt_member(path: Path | str) -> str | None:
    """Return the first part of a zip file that is not what was written, by the checksum beside it; None if all are.

    torch writes its checkpoints so, with a CRC-32 of each part, and does not look at it when it reads them. It tells
    each flipped bit, and of larger damage all but one in four thousand million. The sums lie in the file itself: they
    are there once it is, go with every copy of it, and cannot be those of another. A file of another kind and one whose
    sums were left out (`torch.serialization.set_crc32_options`) have none to differ from.

    Raises:
        BadZipFile: the file begins as a zip file does, and cannot be read as one.
    """
    with Path(path).open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return None
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            # Marked as a folder, a part's content is there, and torch reads none of it.
            folder = next((part.filename for part in parts if part.file_size and part.external_attr & 0x10), None)
            return folder or (archive.testzip() if any(part.CRC for part in parts) else None)
    except _NO_ZIP as error:
        raise zipfile.BadZipFile(str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a place before the file's beginning, where a header says that a part is
            raise
        raise zipfile.BadZipFile(str(error)) from error
