"""One attempt to break something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class NotHere(Exception):
    """What this machine cannot try, and why: no right to mount a disk, no second version of torch."""


@dataclass(frozen=True)
class Trial:
    """One attempt to break something.

    Args:
        kind: Of the fault; a row of the record's table.
        name: Which of its kind; with the seed, all that it takes to repeat it.
        run: Tries it in a folder of its own. An AssertionError says what was lost; NotHere, that this machine cannot
            try it. A dict that it returns is figures for the record.
        alone: Whether nothing else may run meanwhile, since time or memory are measured.
    """

    kind: str
    name: str
    run: Callable[[Path], object]
    alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        kind, name: The trial's.
        failure: What was lost; "" where all was well.
        not_here: Why it could not be tried; "" where it was.
        seconds: It took.
        figures: It returned.
    """

    kind: str
    name: str
    failure: str = ""
    not_here: str = ""
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
