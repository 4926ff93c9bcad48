"""How long each part of a step takes, in a pass of its own: waiting for each part slows down the whole."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from rgacli.bench.contestants import Part
from rgacli.progress import Progress


def parts_in_turn(
    works: Mapping[str, tuple[Callable[[], Any], Sequence[Part]]],
    *,
    repeats: int,
    wait: Callable[[], Any] = lambda: None,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """Return name -> what is called a part -> seconds of it in one run, the median of runs that works do in turn.

    Args:
        works: Name -> what to do, and the methods whose time is told apart, as for `parts_of`.
        repeats: Runs of each.
        wait: Waits for what a device has still to do.
        progress: Told of each run.
    """
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in works}
    for turn in range(repeats):
        for index, (name, (work, parts)) in enumerate(works.items(), start=1):
            runs[name].append(parts_of(work, parts, wait=wait))
            if progress:
                progress("timing parts", turn * len(works) + index, repeats * len(works), name)
    return {name: _medians(own) for name, own in runs.items()}


def parts_of(
    work: Callable[[], Any], parts: Sequence[Part], *, wait: Callable[[], Any] = lambda: None
) -> dict[str, float]:
    """Return what is called a part -> seconds of it in one run of some work.

    A method's time is without that of the other parts that it calls.

    Args:
        work: What to do.
        parts: Methods that it calls; of the same name, they are added up. Those that it does not call have no entry.
        wait: Waits for what a device has still to do.
    """
    with ExitStack() as stack:
        clock = _Clock(wait)
        for owner, method, name in parts:
            stack.enter_context(_timed(owner, method, name, clock))
        work()
        return dict(clock.seconds)


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: median(run.get(name, 0.0) for run in runs) for name in names}


class _Clock:
    """Sums up time by what is going on, innermost."""

    def __init__(self, wait: Callable[[], Any]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._wait, self._open, self._since = wait, [], 0.0

    def enter(self, name: str) -> None:
        self._lap()
        self._open.append(name)

    def leave(self) -> None:
        self._lap()
        self._open.pop()

    def _lap(self) -> None:
        self._wait()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


@contextmanager
def _timed(owner: Any, method: str, name: str, clock: _Clock) -> Iterator[None]:
    """Have a clock told of each call of an object's method."""
    called = getattr(owner, method)
    own = method in vars(owner)  # it was put there before, as RGA's hook does

    def timed(*args: Any, **kwargs: Any) -> Any:
        clock.enter(name)
        try:
            return called(*args, **kwargs)
        finally:
            clock.leave()

    setattr(owner, method, timed)
    try:
        yield
    finally:
        if own:
            setattr(owner, method, called)
        else:
            delattr(owner, method)
