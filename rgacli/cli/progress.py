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

_SECONDS_BETWEEN_LINES = 10.0


class Meter:
    """Progress of one job of known length, with its rate and the time left."""

    def __init__(self, progress: Progress | None, title: str, total: int) -> None:
        self._progress = progress
        self._title, self._total = title, total
        self._start = self._last_line = time.monotonic()
        self._first: int | None = None
        if progress:
            self._task = progress.add_task(title, total=total, note="")

    def update(self, done: int, note: str = "", title: str | None = None) -> None:
        """Shows that `done` of the total are done; `note` stands at the end of the line."""
        self._title = title or self._title
        if self._first is None:
            self._first = done - 1  # a resumed job starts late; its rate is that of what it did itself
        now = time.monotonic()
        rate = (done - self._first) / max(now - self._start, 1e-9)
        if self._progress:
            self._progress.update(self._task, completed=done, description=self._title, note=f"{rate:.2f}/s  {note}")
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES or done == self._total:
            self._last_line = now
            left = timedelta(seconds=round((self._total - done) / rate))
            say(f"{self._title}  {done}/{self._total}  {rate:.2f}/s  ETA {left}  {note}".rstrip())

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
