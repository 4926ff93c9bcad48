"""How a command ended, and whether that is a way in which commands may end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# An error by Python's own name: nobody foresaw it (`rgacli.errors.Unforeseen`).
_UNFORESEEN = re.compile(r"^error: (rank \d+: )?[A-Za-z_.]*(Error|Exception|Warning|Iteration|Interrupt): ")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        arguments: It was given.
        code: Its exit code; below 0, the signal that ended it; None where it was ended for taking too long.
        stdout, stderr: What it said.
        seconds: It took.
        megabytes: Of memory at its peak.
    """

    arguments: tuple[str, ...]
    code: int | None
    stdout: str
    stderr: str
    seconds: float
    megabytes: float = 0.0

    @property
    def errors(self) -> list[str]:
        """The lines that tell of errors."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


def require_well(ended: Ended, *codes: int) -> Ended:
    """Return it; fails unless the command did what it should, or said in one line why not.

    Args:
        ended: How it ended.
        codes: The exit codes that will do; by default 0 (it did), 1 (it failed) and 2 (it was asked for nonsense).
    """
    said = f"{' '.join(ended.arguments)}\n{ended.stderr[-2000:]}"
    assert ended.code is not None, f"still at work after {ended.seconds:.0f} s: {said}"
    assert ended.code in (codes or (0, 1, 2)), f"exit code {ended.code}: {said}"
    assert "Traceback (most recent call last)" not in ended.stderr + ended.stdout, f"a traceback: {said}"
    if ended.code == 0:
        assert not ended.errors, f"an error, yet exit code 0: {said}"
    elif ended.code in (1, 2) and not _is_typers(ended.stderr):
        assert len(ended.errors) == 1, f"{len(ended.errors)} lines of error: {said}"
        assert not _UNFORESEEN.match(ended.errors[0]), f"Python's own words: {said}"
    return ended


def require_nothing_half_written(folder: Path) -> None:
    """Fail if a temporary file of a write lies in a folder whose commands have all ended by themselves."""
    left = [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.is_file() and "." in path.name[1:]]
    assert not left, f"left half-written: {', '.join(sorted(left)[:5])}"


def _is_typers(stderr: str) -> bool:
    """Whether typer told the error: of an option, in a box."""
    return "Usage: " in stderr and "Error" in stderr
