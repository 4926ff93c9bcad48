"""Watching over the jobs of a sweep while an executor runs them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.reproduction.folder import State, SweepFolder
from rgacli.reproduction.jobs import Job
from rgacli.reproduction.record import Record
from rgacli.reproduction.sweep import Table

_SECONDS_BETWEEN_LOOKS = 5.0


class Watch:
    """Looks at the jobs every few seconds: writes the manifest and the record, and reports progress.

    Args:
        folder: The sweep's.
        every: All of its jobs.
        own: Those that are looked at.
        about: What the manifest tells of the sweep.
        progress: Told of the share of the work that is done, and of what runs.
        keeping: A record of what is found.
        tables: For the record.
    """

    def __init__(
        self,
        folder: SweepFolder,
        every: Sequence[Job],
        own: Sequence[Job],
        about: Mapping[str, Any],
        progress: Progress | None,
        keeping: Record | None,
        tables: Sequence[Table],
    ) -> None:
        self._folder, self._every, self._own, self._about = folder, every, own, about
        self._progress, self._keeping, self._tables = progress, keeping, tables
        self._last = -float("inf")
        self._seen: dict[str, str] = {job.name: "" for job in own}
        self._began = time.monotonic()
        before = [folder.seconds(job) for job in own if folder.is_finished(job)]
        self._done_before = len(before)
        self._each = sum(before) / len(before) if before else None  # seconds that a job has taken so far

    def __call__(self, *, last: bool = False) -> None:
        """Look, if the last look is some seconds ago."""
        if not last and time.monotonic() - self._last < _SECONDS_BETWEEN_LOOKS:
            return
        self._last = time.monotonic()
        states = {job.name: self._folder.state(job) for job in self._own}
        ended = False
        for name, state in states.items():
            if state.state != self._seen[name]:
                if state.state == "failed" and self._seen[name]:
                    tell(f"{name} failed: {state.error} (log: {self._folder.log(name)})")
                ended = ended or state.state in ("finished", "failed")
                self._seen[name] = state.state
        if ended and self._keeping:
            self._keeping.write(self._folder, self._tables)
        self._report(states)
        self._folder.write_manifest(self._every, {**self._about, "expected_seconds": self._left(states)})

    def _share(self, states: Mapping[str, State]) -> float:
        """Return how many jobs' worth of work is done, parts of running ones included."""
        running = (state for state in states.values() if state.state == "running" and state.total)
        return _finished(states) + sum(state.done / state.total for state in running)

    def _left(self, states: Mapping[str, State]) -> int | None:
        """Return the seconds that the jobs will still take: as this run goes or, before that tells, as others took.

        None while nothing tells it.
        """
        since = self._share(states) - self._done_before
        open_ = sum(state.state in ("waiting", "running", "stopped") for state in states.values())
        if since < 0.05:
            running = sum(state.state == "running" for state in states.values())
            return None if self._each is None else round(open_ * self._each / max(1, running))
        part = self._share(states) - _finished(states)
        return round((open_ - part) * (time.monotonic() - self._began) / since)

    def _report(self, states: Mapping[str, State]) -> None:
        if not self._progress:
            return
        failed = sum(state.state == "failed" for state in states.values())
        running = [
            f"{name} {state.step}" + (f" {100 * state.done // state.total} %" if state.total else "")
            for name, state in states.items()
            if state.state == "running"
        ]
        note = [f"{_finished(states)} of {len(states)} jobs", *([f"{failed} failed"] if failed else []), *running[:4]]
        ended = self._share(states) + failed
        self._progress("sweep, %", int(100 * ended / len(states)), 100, "  ".join(note))


def _finished(states: Mapping[str, State]) -> int:
    return sum(state.state == "finished" for state in states.values())
