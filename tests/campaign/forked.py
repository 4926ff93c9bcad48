"""The command line in processes that are forked off one that has imported everything: tens of times quicker to start.

`python -m tests.campaign.forked` reads requests from stdin, a line of JSON each, and answers each on stdout.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.campaign.ended import Ended

ROOT = Path(__file__).parents[2]
_PACKAGES = ("rgacli.core", "rgacli.api", "rgacli.cli")


class Forked:
    """The process that is forked off. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "80"},
        )

    def rgacli(
        self,
        *arguments: object,
        cwd: Path,
        seconds: float = 120,
        megabytes: float = 4000,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run `rgacli ARGUMENTS` in a folder.

        Args:
            arguments: Of the command.
            cwd: The folder.
            seconds: After which it is killed.
            megabytes: Of memory that it may take beyond what the imports take.
            environment: More variables.
        """
        given = tuple(map(str, arguments))
        request = dict(
            arguments=given, cwd=str(cwd), seconds=seconds, megabytes=megabytes, environment=environment or {}
        )
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that commands are forked off died by {' '.join(given)}")
        return Ended(given, **json.loads(answer))

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Answer requests until there are no more."""
    import importlib
    import pkgutil

    for package in map(importlib.import_module, _PACKAGES):
        for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            importlib.import_module(module.name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no answer
    for line in sys.stdin:
        answers.write(json.dumps(_answer(**json.loads(line))) + "\n")
        answers.flush()


def _answer(
    arguments: list[str], cwd: str, seconds: float, megabytes: float, environment: Mapping[str, str]
) -> dict[str, object]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        begun = time.monotonic()
        child = os.fork()
        if not child:
            _be_the_command(arguments, cwd, megabytes, environment, stdout.fileno(), stderr.fileno())
        status, usage = _wait(child, begun + seconds)
        said = [file.seek(0) or file.read().decode(errors="replace") for file in (stdout, stderr)]
        return dict(
            code=None if status is None else os.waitstatus_to_exitcode(status),
            stdout=said[0],
            stderr=said[1],
            seconds=time.monotonic() - begun,
            megabytes=usage.ru_maxrss / 1024,
        )


def _wait(child: int, until: float) -> tuple[int | None, resource.struct_rusage]:
    """Wait for a child; kill it, and all of its, when its time is over."""
    pause = 0.005
    while time.monotonic() < until:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    os.killpg(child, signal.SIGKILL)
    return None, os.wait4(child, 0)[2]


def _be_the_command(
    arguments: list[str], cwd: str, megabytes: float, environment: Mapping[str, str], stdout: int, stderr: int
) -> None:
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for file, number in ((nothing, 0), (stdout, 1), (stderr, 2)):
            os.dup2(file, number)
        os.chdir(cwd)
        os.environ.update(environment)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(megabytes * 2**20),) * 2)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", errors="backslashreplace")  # as Python opens it
        code = _run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(arguments: list[str]) -> int:
    """Do as the installed command does, and return its exit code."""
    import traceback

    from rgacli.cli.app import app

    try:
        app(arguments, prog_name="rgacli")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
