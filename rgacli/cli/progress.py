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
    """Progress of one job of known length, with its rate and the time left.

    The rate is that since the first update, which it takes two of: before it lie a resumed job's earlier part, and
    loading and warming up.
    """

    def __init__(self, progress: Progress | None, title: str, total: int) -> None:
        self._progress = progress
        self._title, self._total = title, total
        self._last_line = time.monotonic()
        self._first: tuple[float, int] | None = None  # time and number done at the first update
        if progress:
            self._task = progress.add_task(title, total=total, note="")

    def update(self, done: int, note: str = "", title: str | None = None) -> None:
        """Shows that `done` of the total are done; `note` stands at the end of the line."""
        self._title = title or self._title
        now = time.monotonic()
        self._first = self._first or (now, done)
        rate = self._rate(now, done)
        speed = f"{rate:.2f}/s  " if rate else ""
        if self._progress:
            self._progress.update(self._task, completed=done, description=self._title, note=f"{speed}{note}")
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES or done == self._total:
            self._last_line = now
            if rate:
                left = max(0, self._total - done)  # a video may hold more frames than it says
                speed += f"ETA {timedelta(seconds=round(left / rate))}  "
            say(f"{self._title}  {done}/{self._total}  {speed}{note}".rstrip())

    def _rate(self, now: float, done: int) -> float | None:
        """Per second; None while nothing tells it."""
        start, first = self._first
        return (done - first) / (now - start) if done > first and now > start else None

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._progress:
            self._progress.remove_task(self._task)


class _NotedProgress(Progress):
    """Shows a task's note on a line of its own below the bars: both fit into 80 columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(task.fields["note"], overflow="ellipsis", no_wrap=True) for task in self.tasks)


@contextmanager
def counted(title: str) -> Iterator[Report]:
    """What to call with the number done and the number to do; another job may follow when one is done."""
    with live_progress() as live:
        meter = None

        def show(done: int, total: int) -> None:
            nonlocal meter
            meter = meter or Meter(live, title, total)
            meter.update(done)
            if done == total:
                meter.close()
                meter = None

        yield show


@contextmanager
def live_progress() -> Iterator[Progress | None]:
    """A live display on a terminal, None elsewhere."""
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
