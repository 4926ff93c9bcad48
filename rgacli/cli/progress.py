"""Showing long work: live bars on a terminal, a plain line now and then elsewhere. All on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from rgacli.cli.output import messages, say
from rgacli.progress import Progress as Report

_SECONDS_BETWEEN_LINES = 10.0


class Meter:
    """Progress of one task of known length, with its rate and the time left.

    The rate is that since the first update, which it takes two of: before it lie a resumed task's earlier part, and
    loading and warming up.
    """

    def __init__(self, progress: Progress | None, title: str, total: int) -> None:
        self._progress = progress
        self._title, self._total = title, total
        self._last_line = time.monotonic()
        self._first: tuple[float, int] | None = None  # time and number done at the first update
        if progress:
            self._task = progress.add_task(title, total=total, note="")

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` of the total are done; `note` stands at the end of the line."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        rate = self._rate(now, done)
        speed = f"{rate:.2f}/s  " if rate else ""
        if self._progress:
            self._progress.update(self._task, completed=done, note=f"{speed}{note}")
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES or done == self._total:
            self._last_line = now
            if rate:
                left = max(0, self._total - done)  # a video may hold more frames than it says
                speed += f"ETA {timedelta(seconds=round(left / rate))}  "
            say(f"{self._title}  {done}/{self._total}  {speed}{note}".rstrip())

    def _rate(self, now: float, done: int) -> float | None:
        """Return the rate per second; None while nothing tells it."""
        start, first = self._first
        return (done - first) / (now - start) if done > first and now > start else None

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._progress:
            self._progress.remove_task(self._task)


class _NotedProgress(Progress):
    """A display with a task's note on a line of its own below the bars: both fit into 80 columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(task.fields["note"], overflow="ellipsis", no_wrap=True) for task in self.tasks)


@contextmanager
def live_progress() -> Iterator[Report]:
    """Yield what functions of the library report to: live bars on a terminal, lines elsewhere."""
    with _display() as display:
        meters: dict[str, Meter] = {}

        def show(task: str, done: int, total: int, note: str = "") -> None:
            if task not in meters:
                meters[task] = Meter(display, task, total)
            meters[task].update(done, note)
            if done == total:  # the same task may come again
                meters.pop(task).close()

        yield show


@contextmanager
def _display() -> Iterator[Progress | None]:
    """Yield a live display on a terminal, None elsewhere."""
    if not messages.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with _NotedProgress(*columns, console=messages, transient=True) as progress:
        yield progress
