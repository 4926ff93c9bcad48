"""A job as executors see it: a command that is run once others have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rgacli.errors import RunFailed
from rgacli.parent import PARENT
from rgacli.reproduction.stopping import interrupts_held_back

_SECONDS_BETWEEN_LOOKS = 0.5


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

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> Mapping[str, str]:
        """Run tasks and return when all have ended; how they ended they note themselves.

        Args:
            tasks: Each stands after those that it comes after.
            watch: To be called every second or so.

        Returns:
            Name of each task that did not end well -> how it ended, for those that could not note it.

        Raises:
            KeyboardInterrupt, SystemExit: on a signal, once tasks that end with this process have stopped.
            RunFailed: the tasks cannot be run there.
        """
        ...


def start(task: Task, environment: Mapping[str, str], folder: str | None = None) -> subprocess.Popen:
    """Start a task's command as a process that stops with this one.

    Args:
        task: What to start.
        environment: More variables for it.
        folder: To run it in; by default the working folder.
    """
    task.log.parent.mkdir(parents=True, exist_ok=True)
    with task.log.open("ab") as log:
        return subprocess.Popen(
            task.command,
            cwd=folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment, PARENT: str(os.getpid())},
            start_new_session=True,  # so that Ctrl-C comes to it once, from here
        )


def call(task: Task, environment: Mapping[str, str], folder: str | None = None) -> str:
    """Run a task's command and return how it ended (`ending`). What interrupts this, interrupts the command first.

    Raises:
        RunFailed: the process above this one is gone. Ray's workers outlive their machine's raylet for a while, when
            the cluster has already begun the task elsewhere.
    """
    parent, process = os.getppid(), None
    try:
        with interrupts_held_back():
            process = start(task, environment, folder)
        while process.poll() is None:
            if os.getppid() != parent:
                raise RunFailed("the process that asked for this task is gone.")
            time.sleep(_SECONDS_BETWEEN_LOOKS)  # not in a wait that only a real signal ends, and Ray sends none
    except BaseException:
        if process:
            process.terminate()
            process.wait()
        raise
    return ending(process.returncode)


def ending(code: int) -> str:
    """Return how a process ended that did not end well, by its exit code; "" of one that did."""
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL, perhaps for want of memory)."
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}."
    return f"it ended with exit code {code}." if code else ""
