"""Python in a fresh process, for what depends on the order of imports or on signals."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Runs `python ARGUMENTS` and returns its stdout; fails the test with its stderr where it fails."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd or ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def python_code(code: str, *arguments: str | Path) -> str:
    """As `python`, for a program given as text."""
    return python("-c", textwrap.dedent(code), *arguments)
