"""How the process of a job comes to stop before its time, by a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rgacli.errors import RunFailed

_asked = False


class Stopped(RunFailed):
    """An end by a signal."""

    exit_code = 130  # as shells report Ctrl-C


def take_signals() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt, wherever this process is and whatever it inherited.

    A process that a script starts in the background inherits that it ignores SIGINT. SIGUSR1 and SIGUSR2 are ignored:
    by them batch systems tell all processes of a job that its time is over, and the one above this one passes that on.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C in a block, in the main thread."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # in another thread nobody can
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Have SIGINT and SIGTERM come at the end of a block: one that starts a process and notes it, to stop it then."""
    asked: list[int] = []

    def hold_back(number: int, frame: Any) -> None:
        asked.append(number)

    with ExitStack() as stack:
        stack.callback(_raise, asked)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Another thread's block is not interrupted; what is not Python's is ignored, or ends the process.
            if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(number)):
                stack.callback(signal.signal, number, signal.signal(number, hold_back))
        yield


def _raise(numbers: Sequence[int]) -> None:
    for number in numbers:
        signal.raise_signal(number)


def _stop(number: int, frame: Any) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt


def require_not_asked() -> None:
    """Raise KeyboardInterrupt if a signal asked to stop: code that C calls can swallow the first one."""
    if _asked:
        raise KeyboardInterrupt
