"""A job as executors see it: a command that is run once others have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Task:
    """A command to be run.

    Attributes:
        name: The job's.
        command: Program and arguments.
        after: Tasks of the same run that are to have ended before, well or not: the command sees to that itself.
        log: File that what it says is added to.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class Resources:
    """What one task has for itself.

    Attributes:
        gpus: Of a machine; 0: it runs on processors.
        threads: Of a processor, for each of its processes; 0: as the executor sees fit.
    """

    gpus: int = 0
    threads: int = 0


ONE_PROCESSOR = Resources()
"""No GPU, and as many threads as the executor sees fit."""


class Executor(Protocol):
    """Runs tasks."""

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> None:
        """Run tasks and return when all have ended; how they ended they note themselves.

        Args:
            tasks: Each stands after those that it comes after.
            watch: To be called every second or so.

        Raises:
            KeyboardInterrupt: on Ctrl-C, once tasks on this machine have stopped.
            RunFailed: the tasks cannot be run there.
        """
        ...


def environment_of(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to so many threads; none of 0."""
    return {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL")} if threads else {}
