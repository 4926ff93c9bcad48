"""How many processors this process may use, and how others are kept to some of them."""

from __future__ import annotations

import os


def cores() -> int:
    """Return that number: of a machine's, those that a batch system or a container binds it to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment_of(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to so many threads; none of 0."""
    return {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL")} if threads else {}
