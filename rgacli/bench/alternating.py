"""Timing several works in turn, so that whatever slows a machine down for a while slows down all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.progress import Progress


@dataclass(frozen=True)
class Spread:
    """The median of some values and the quartiles about it."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return that of at least one value."""
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        return cls(median, low, high, len(values))


def ratio(taken: Sequence[float], reference: Sequence[float]) -> Spread:
    """Return how many times as long one work takes as another: by medians, with quartiles of the rounds' ratios.

    Args:
        taken: Seconds, round by round, as `alternate` returns them.
        reference: The other work's, of the same rounds.
    """
    rounds = Spread.of([own / other for own, other in zip(taken, reference, strict=True)])
    return Spread(Spread.of(taken).median / Spread.of(reference).median, rounds.low, rounds.high, rounds.n)


def alternate(
    works: Mapping[str, Callable[[], Any]],
    *,
    repeats: int,
    warm_up: int = 1,
    wait: Callable[[], Any] = lambda: None,
    progress: Progress | None = None,
    task: str = "timing",
) -> dict[str, list[float]]:
    """Time works in turn, round by round; the one that goes first in a round goes last in the next.

    Args:
        works: Name -> what to do.
        repeats: Rounds that count.
        warm_up: Rounds before them that do not.
        wait: Waits for what a device has still to do; called before and after each work.
        progress: Told of each work.
        task: What the reports call it.

    Returns:
        Name -> seconds (repeats,), round by round.
    """
    names, taken = list(works), {name: [] for name in works}
    total = (warm_up + repeats) * len(names)
    for turn in range(warm_up + repeats):
        first = turn % len(names)
        for index, name in enumerate(names[first:] + names[:first]):
            wait()
            start = time.perf_counter()
            works[name]()
            wait()
            seconds = time.perf_counter() - start
            if turn >= warm_up:
                taken[name].append(seconds)
            if progress:
                progress(task, turn * len(names) + index + 1, total, f"{name} {seconds:.3g} s")
    return taken
