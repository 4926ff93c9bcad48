"""How long a person waits before anything happens: commands as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from typing import Any

from rgacli.bench.alternating import Spread, alternate
from rgacli.errors import RunFailed
from rgacli.progress import Progress

WORKS = {
    "python": ("-c", "pass"),
    "import": ("-c", "import rgacli"),
    "help": ("-m", "rgacli", "-h"),
    "runs": ("-m", "rgacli", "runs"),
}
"""Name -> Python's arguments. Python alone is what all of them have in common."""


def measure(*, repeats: int = 5, progress: Progress | None = None) -> dict[str, Any]:
    """Return name -> seconds, with their spread, of an import, the help, and the list of runs in an empty folder.

    Args:
        repeats: Rounds, after one that does not count.
        progress: Told of each process.

    Raises:
        RunFailed: a process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        works = {name: (lambda arguments=arguments: _run(arguments, folder)) for name, arguments in WORKS.items()}
        taken = alternate(works, repeats=repeats, warm_up=1, progress=progress, task="starting")
    return {name: asdict(Spread.of(seconds)) for name, seconds in taken.items()}


def _run(arguments: tuple[str, ...], folder: str) -> None:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # this package, from wherever it is
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise RunFailed(f"python {' '.join(arguments)} failed: {(done.stderr.strip().splitlines() or [''])[-1]}")
