"""How many processors this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Return that number: of a machine's, those that a batch system or a container has given to it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
