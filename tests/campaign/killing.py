"""Killing a command by SIGKILL at a chosen moment, and making sure that nothing of it stays behind.

What belongs to a command is told by its working folder: ranks have sessions of their own, and a forked process shows
the environment of the one it was forked off.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SECONDS_TO_END = 90.0
"""That processes have to notice that the one above them is gone, and to leave a checkpoint and their curves: some
seconds, but the machine may be a busy one."""

Victims = Literal["all", "main", "loader", "rank"]


@dataclass(frozen=True)
class Moment:
    """When a command is killed, and what of it.

    Attributes:
        delay: Seconds after it began, or after the sight.
        sight: Glob pattern, in its folder, of what has to be there first.
        victims: "all" processes of it, the "main" one alone, or one of those that the main one started: a "loader" of
            data, or the last "rank".
    """

    delay: float = 0.0
    sight: str = ""
    victims: Victims = "all"


class Killer:
    """Kills a command when its moment has come.

    Args:
        moment: When, and what of it.
        main: Its first process.
        folder: That it runs in.
    """

    def __init__(self, moment: Moment, main: int, folder: Path) -> None:
        self.moment, self.main, self.folder = moment, main, folder
        self._due = None if moment.sight else time.monotonic() + moment.delay

    @property
    def is_watching(self) -> bool:
        """Whether it waits for its sight."""
        return self._due is None

    def look(self) -> bool:
        """Return whether it has been killed, now."""
        if self._due is None and next(self.folder.glob(self.moment.sight), None) is not None:
            self._due = time.monotonic() + self.moment.delay
        if self._due is None or time.monotonic() < self._due:
            return False
        victims = self._victims()
        for process in victims:
            _kill(process)
        if self.moment.victims == "all":
            end_all(self.folder)
        return bool(victims)

    def _victims(self) -> list[int]:
        if self.moment.victims in ("all", "main"):
            return [self.main]
        below = [process for process in processes_in(self.folder) if _parent(process) == self.main]
        if self.moment.victims == "loader":
            return below[-1:]
        ranks = {rank: process for process in below if (rank := _rank(process)) is not None}
        return [ranks[max(ranks)]] if len(ranks) > 1 else []


def processes_in(folder: Path) -> list[int]:
    """Return the processes that work in a folder, oldest first; less those that have ended."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError):
                own = Path(os.readlink(path / "cwd"))
                if own.is_relative_to(folder) and _state(int(path.name))[0] not in "ZX":
                    found.append(int(path.name))
    return sorted(found)


def end_all(folder: Path) -> None:
    """Kill what works in a folder."""
    while left := processes_in(folder):
        for process in left:
            _kill(process)


def require_none_left(folder: Path) -> None:
    """Fail if a process of a command that was killed is still there after a while."""
    until = time.monotonic() + SECONDS_TO_END
    while left := processes_in(folder):
        if time.monotonic() > until:
            told = [f"{process} ({_command(process)})" for process in left]
            end_all(folder)
            raise AssertionError(f"still there {SECONDS_TO_END:.0f} s later: {', '.join(told)}")
        time.sleep(0.1)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _state(process: int) -> list[str]:
    """Return what /proc/N/stat has after the program's name: state, parent, …"""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _parent(process: int) -> int:
    with suppress(OSError):
        return int(_state(process)[1])
    return 0


def _rank(process: int) -> int | None:
    with suppress(OSError):
        for variable in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
            if variable.startswith(b"RANK="):
                return int(variable.partition(b"=")[2])
    return None


def _command(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-150:]
    return "gone"
