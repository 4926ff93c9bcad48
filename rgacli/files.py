"""Files that are there whole: written so that a reader sees the old content or the new, and read so as well."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MOST_OF_A_NAME = 40
"""Characters of a name that a temporary one shows: with what is added to all of it, it could be too long."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit it is renamed to `path`, else removed.

    The suffix of `path` is kept, since writers such as matplotlib choose a format by it.

    Raises:
        FileExistsError: `path` is there and is no file: a folder, or a device such as /dev/stdout.
    """
    path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))  # a link stays one
        if path.is_symlink():
            raise FileExistsError(errno.EEXIST, "it is a link that leads to itself", str(path))
    require_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path, path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:_MOST_OF_A_NAME]}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(path, temporary):
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def require_replaceable(path: Path) -> None:
    """Raise a FileExistsError if something is there that is no file: what writes to a FIFO waits for ever."""
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "it is no file", str(path))


def require_writable(path: Path | str) -> None:
    """Raise the OSError that writing a file would end in, before there is anything to be written."""
    path = Path(path)
    require_replaceable(path)
    with naming(path, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


@contextmanager
def naming(path: Path | str, temporary: Path | str | None = None) -> Iterator[None]:
    """Have an error of writing name `path`: what a full disk raises names no file, or a temporary one.

    Args:
        path: Of what is written.
        temporary: What the paths begin with that stand for it meanwhile.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        own = error.filename2 or error.filename  # where a file is copied, the second is the copy
        if not isinstance(own, str) or (temporary and own.startswith(str(temporary))):
            own = str(path)
        error.filename = own
        if error.filename2 is not None:
            del error.filename2  # of None, Python tells as well
        raise
    except RuntimeError as error:
        if "inline_container" not in str(error):
            raise
        # torch tells only that it wrote less than it meant to
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


@contextmanager
def replacing_files_in(folder: Path | str) -> Iterator[Path]:
    """Yield a temporary folder; on a clean exit the files in it move to `folder`, else nothing has changed.

    Raises:
        FileExistsError: `folder` is a file.
    """
    folder = Path(folder).absolute()
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())  # on the same disk
    with naming(folder, place / "."), tempfile.TemporaryDirectory(dir=place, prefix=".") as name:
        temporary = Path(name)
        yield temporary
        folder.mkdir(parents=True, exist_ok=True)
        for path in temporary.iterdir():
            os.replace(path, folder / path.name)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder; on a clean exit it becomes `folder`, which is new or empty, else nothing has changed.

    Raises:
        FileExistsError: `folder` is not empty.
    """
    # One that is there may be a disk, or somebody's working folder.
    place = folder if folder.is_dir() else folder.parent
    place.mkdir(parents=True, exist_ok=True)
    hidden = f".{folder.name[:_MOST_OF_A_NAME]}-"
    with naming(folder, place / hidden), tempfile.TemporaryDirectory(dir=place, prefix=hidden) as name:
        temporary = Path(name, "new")
        temporary.mkdir()
        yield temporary
        try:
            if place == folder:
                for path in temporary.iterdir():
                    os.rename(path, folder / path.name)
            else:
                os.rename(temporary, folder)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise FileExistsError(errno.EEXIST, "it is not empty", str(folder)) from error  # another was quicker


def parse_json(text: bytes | str) -> Any:
    """Return JSON's value.

    Raises:
        ValueError: it is no JSON, in no encoding that JSON has, or its lists or objects are nested without end.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as JSON atomically."""
    write_text(path, json.dumps(value))  # dumps in C; dump to a file runs in Python


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
