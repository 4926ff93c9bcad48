"""What a generator makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

Make: TypeAlias = "Callable[[Any, Random, Path], Case]"
"""(materials, chance, folder) -> a case whose files are in the folder."""


@dataclass(frozen=True)
class Case:
    """Hostile input, and what reads it.

    Attributes:
        what: What is hostile about it, in words.
        arguments: Of `rgacli`, which runs in the case's folder.
        wrong: Whether it is plainly wrong, so that taking it without a word is a failure, too.
        says: Some of what stderr has to say where the command ends well.
    """

    what: str
    arguments: tuple[object, ...]
    wrong: bool = False
    says: str = ""


MARKER = "code-ran"
"""Name of the file that code in an input would write, if it ran."""
