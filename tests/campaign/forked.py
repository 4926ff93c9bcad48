"""The command line in processes that are forked off one that has imported everything: tens of times quicker to start.

`python -m tests.campaign.forked` reads requests from stdin, a line of JSON each, and answers each on stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.campaign.ended import Ended
from tests.campaign.killing import Killer, Moment

ROOT = Path(__file__).parents[2]
_PACKAGES = ("rgacli.core", "rgacli.api", "rgacli.cli")

_SECONDS_BETWEEN_LOOKS = 0.0003  # a file of a megabyte is half written for some milliseconds
# Of linux/prctl.h and linux/capability.h.
_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION_3 = 0x20080522


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
        killed: Moment | None = None,
        file_size: int | None = None,
        unprivileged: bool = False,
        stdout: str | None = None,
    ) -> Ended:
        """Run `rgacli ARGUMENTS` in a folder.

        Args:
            arguments: Of the command.
            cwd: The folder.
            seconds: After which it is killed.
            megabytes: Of memory that it may take beyond what the imports take.
            environment: More variables.
            killed: When it is killed, unless it has ended by then.
            file_size: Bytes beyond which no file can grow; nor what it says on stdout and stderr.
            unprivileged: Whether files' modes count for it, where we are root.
            stdout: A file that stands for its stdout, such as /dev/full.
        """
        given = tuple(map(str, arguments))
        request = dict(
            arguments=given,
            cwd=str(cwd),
            seconds=seconds,
            megabytes=megabytes,
            environment=environment or {},
            killed=asdict(killed) if killed else None,
            file_size=file_size,
            unprivileged=unprivileged,
            stdout=stdout,
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
    arguments: list[str], seconds: float, stdout: str | None, killed: Mapping[str, Any] | None, **limits: Any
) -> dict[str, object]:
    with tempfile.TemporaryFile() as kept, tempfile.TemporaryFile() as stderr:
        begun = time.monotonic()
        child = os.fork()
        if not child:
            shown = os.open(stdout, os.O_WRONLY) if stdout else kept.fileno()
            _be_the_command(arguments, shown, stderr.fileno(), **limits)
        killer = Killer(Moment(**killed), child, Path(limits["cwd"])) if killed else None
        status, usage = _wait(child, begun + seconds, killer)
        said = [file.seek(0) or file.read().decode(errors="replace") for file in (kept, stderr)]
        return dict(
            code=None if status is None else os.waitstatus_to_exitcode(status),
            stdout=said[0],
            stderr=said[1],
            seconds=time.monotonic() - begun,
            megabytes=usage.ru_maxrss / 1024,
        )


def _wait(child: int, until: float, killer: Killer | None) -> tuple[int | None, resource.struct_rusage]:
    """Wait for a child; kill it, and all of its, when its time is over."""
    pause = 0.005
    while time.monotonic() < until:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage
        if killer and killer.look():
            killer = None
        time.sleep(_SECONDS_BETWEEN_LOOKS if killer and killer.is_watching else pause)
        pause = min(2 * pause, 0.1)
    os.killpg(child, signal.SIGKILL)
    return None, os.wait4(child, 0)[2]


def _be_the_command(
    arguments: list[str],
    stdout: int,
    stderr: int,
    *,
    cwd: str,
    megabytes: float,
    environment: Mapping[str, str],
    file_size: int | None,
    unprivileged: bool,
) -> None:
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for file, number in ((nothing, 0), (stdout, 1), (stderr, 2)):
            os.dup2(file, number)
        os.chdir(cwd)
        if unprivileged:
            drop_privileges()
        os.environ.update(environment)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(megabytes * 2**20),) * 2)
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", errors="backslashreplace")  # as Python opens it
        code = _run(arguments)
        code = _flushed(code)
    finally:
        os._exit(code)


def _flushed(code: int) -> int:
    """Flush what was printed, and return the exit code, as Python does at its end."""
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored in: <stdout>\n{type(error).__name__}: {error}", file=sys.stderr)
        code = 120
    sys.stderr.flush()
    return code


def drop_privileges() -> None:
    """Have files' modes count for this process and what it starts, though it be root's; for good."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):  # a program that is started would take all of these
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def _run(arguments: list[str]) -> int:
    """Do as the installed command does, and return its exit code."""
    import traceback

    from rgacli.cli.app import main

    try:
        main(arguments, "rgacli")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
