"""Locks on files that tell who has them.

The lock is the kernel's, so that it ends with its process however that ends. Its owner is noted in the locked file: for
messages, and for file systems that know no locks, where the note is all there is.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from rgacli.errors import UsageError
from rgacli.messages import tell

LOCK = ".lock"
"""Name of such a file."""
_MOMENTS = (0, 0.05, 0.2)  # `owner_of` locks for a moment, too
_UNTIL_ITS_CHILDREN_END = 15.0  # processes that load data look every few seconds whether theirs is still there


@dataclass(frozen=True)
class Owner:
    """A process that has a lock.

    Attributes:
        pid: Its number, which another may have once it has ended.
        host: Its machine.
        began: When it began, in the kernel's own count; "" where that is not told.
    """

    pid: int
    host: str
    began: str

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        return cls(os.getpid(), socket.gethostname(), _began(os.getpid()))

    @property
    def is_here(self) -> bool:
        """Whether its machine is this one."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it is somebody else's, and there
        return _began(self.pid) != self.began

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock on a file, which is made where it is not there, for the length of a block.

    Args:
        path: The file.
        refusal: What is told if another process has it, which follows: "run x is being trained by".

    Raises:
        UsageError: another process has it.
    """
    with path.open("a+b") as file:
        taken = _take(file.fileno(), path)
        owner = _noted(path)
        if taken is False:
            still = ", which has ended, but not all that it started" if owner and owner.is_gone else ""
            raise UsageError(f"{refusal} {owner or 'another process'}{still}.")
        if taken is None and owner and not owner.is_gone and owner != Owner.me():
            if owner.is_here:
                raise UsageError(f"{refusal} {owner}.")
            tell(
                f"{refusal} {owner}, or was: the file system of {path} has no locks that would tell. Make sure that "
                "it has ended."
            )
        _note(file, json.dumps(asdict(Owner.me())))
        try:
            yield
        finally:
            _note(file, "")
            try_lock(file.fileno(), fcntl.LOCK_UN)  # processes that load data have the file open as well


def owner_of(path: Path) -> str:
    """Return who has the lock on a file now, as far as the file system tells: "process 12 on host"; "" if nobody has.

    It may be "another process".
    """
    try:
        with path.open("rb") as file:
            taken = try_lock(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return ""
    owner = _noted(path)
    if taken is False:
        return str(owner or "another process")
    return str(owner) if taken is None and owner and owner.is_here and not owner.is_gone else ""


def try_lock(file: int, kind: int) -> bool | None:
    """Lock an open file, or give it free.

    Args:
        file: Its descriptor.
        kind: fcntl's LOCK_EX, LOCK_SH or LOCK_UN.

    Returns:
        False if another process has locked it, None if the file system knows no locks.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _take(file: int, path: Path) -> bool | None:
    """Lock, as `try_lock`; wait for the children of an owner that was killed, which keep its lock a little longer."""
    taken: bool | None = False
    for seconds in _MOMENTS:
        time.sleep(seconds)
        if (taken := try_lock(file, fcntl.LOCK_EX)) is not False:
            return taken
    until = time.monotonic() + _UNTIL_ITS_CHILDREN_END
    while (owner := _noted(path)) and owner.is_gone and time.monotonic() < until:
        time.sleep(0.2)
        if (taken := try_lock(file, fcntl.LOCK_EX)) is not False:
            break
    return taken


def _noted(path: Path) -> Owner | None:
    """Return the owner that a lock's file tells; None where it tells of none."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _note(file: BinaryIO, text: str) -> None:
    file.truncate(0)  # in place: a new file would not be the locked one
    file.write(text.encode())
    file.flush()


def _began(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
