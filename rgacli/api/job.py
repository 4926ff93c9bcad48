"""One job of a sweep, in a process of its own: `python -m rgacli.api.job FOLDER JOB PROCESSES`."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import rgacli
from rgacli import runs
from rgacli.cores import cores, environment_of
from rgacli.data.synthetic import embedded_dataset
from rgacli.errors import RgacliError, RunFailed, UsageError, explain
from rgacli.messages import LOGGER, tell
from rgacli.parent import stop_with_parent
from rgacli.reproduction.folder import State, SweepFolder
from rgacli.reproduction.jobs import EMBEDDED, EMBEDDED_TEST, Job, Step, call_of, run_folder
from rgacli.reproduction.quantities import numbers_of
from rgacli.reproduction.stopping import Stopped, require_not_asked, take_signals

_SECONDS_BETWEEN_NOTES = 2.0
_PATIENCE = 60.0
"""Seconds to wait for a process that works on the job: one whose parent died may be about to end."""
HELD = 75  # sysexits.h: try again later
"""Exit code where another process works on the job."""


def work(path: Path, name: str, *, processes: int = 1) -> int:
    """Take the steps of a job that are not done yet, and note how it goes; a training that was cut short goes on.

    Args:
        path: The sweep's folder.
        name: The job's.
        processes: To share its training and evaluation, a GPU to each.

    Returns:
        The exit code of the process: 0, that of the error that is noted, or HELD where another process works on it.
    """
    folder = SweepFolder(path)
    jobs = {job.name: job for job in folder.read_jobs()}
    if name not in jobs:
        raise UsageError(f"{folder.manifest} has no job '{name}'.")
    with folder.job_held(name, _PATIENCE) as own:
        if not own:
            tell(f"{name} is being run by another process.")
            return HELD
        return _work(folder, jobs, jobs[name], processes)


def _work(folder: SweepFolder, jobs: Mapping[str, Job], job: Job, processes: int) -> int:
    """Do the same for a job that no other process works on."""
    if folder.is_finished(job):
        return 0
    noted = replace(folder.last_state(job.name), state="running", began=time.time(), ended=None, error="")
    noted = replace(noted, host=socket.gethostname(), pid=os.getpid())
    folder.write_state(job.name, noted)
    try:
        needed = [jobs[other] for other in job.after]
        for other in needed:
            if not folder.is_finished(other):
                raise RunFailed(f"it needs {other.name}, which is not finished.")
        if any(step.parameters.get("data") == EMBEDDED for each in (job, *needed) for step in each.steps):
            embedded_dataset(test=EMBEDDED_TEST)  # on this machine it may be new
        for step in job.steps:
            if folder.result(job, step) is None:
                require_not_asked()
                noted = noted.at(step.function)
                folder.write_state(job.name, noted)
                _take(folder, job, step, noted, processes)
    except BaseException as error:
        traceback.print_exc()
        known = _known(error)
        state = "stopped" if known.exit_code == Stopped.exit_code else "failed"
        last = folder.last_state(job.name)
        folder.write_state(job.name, replace(last, state=state, ended=time.time(), error=str(known)))
        return known.exit_code
    folder.write_state(job.name, replace(noted, state="finished", ended=time.time()))
    return 0


def _known(error: BaseException) -> RgacliError:
    """Return the one-line form of what ended a job."""
    return explain(error) if isinstance(error, Exception) else Stopped("stopped by a signal.")


def _take(folder: SweepFolder, job: Job, step: Step, noted: State, processes: int) -> None:
    """Take one step, and keep what it found."""
    if processes > 1 and step.is_shared:
        from rgacli.launch import Job as Processes
        from rgacli.launch import launch

        own = ["-m", "rgacli.api.job", str(folder.path), job.name, "1", step.function]
        threads = environment_of(max(1, cores() // processes))
        launch([sys.executable, *own], Processes(processes), threads)
        return
    _take_here(folder, job, step, noted)


def _take_here(folder: SweepFolder, job: Job, step: Step, noted: State, *, is_first: bool = True) -> None:
    """Take one step in this process, which may be one of several: the first of them notes and keeps."""
    began, last = time.monotonic(), 0.0

    def seconds() -> float:
        return round(noted.seconds + time.monotonic() - began, 1)

    def progress(task: str, done: int, total: int, note: str = "") -> None:
        nonlocal last
        require_not_asked()
        if is_first and (time.monotonic() - last > _SECONDS_BETWEEN_NOTES):
            last = time.monotonic()
            folder.write_state(job.name, replace(noted, done=done, total=total, seconds=seconds()))

    parameters = call_of(folder.path, job, step)
    if step.function == "train":
        parameters = _to_go_on(folder, job, parameters, is_first)
    function = getattr(rgacli, step.function)
    known = inspect.signature(function).parameters
    parameters = {key: Path(value) if _is_path(known[key]) else value for key, value in parameters.items()}
    result = function(**parameters, **({"progress": progress} if "progress" in known else {}))
    if not is_first:
        return
    from rgacli.engine.machine import about

    folder.write_result(job.name, step, numbers_of(step.function, result), seconds=seconds(), **about())


def _is_path(parameter: inspect.Parameter) -> bool:
    """Return whether a parameter takes a Path alone, which JSON has no word for."""
    return parameter.annotation in ("Path", "Path | None")


def _to_go_on(folder: SweepFolder, job: Job, parameters: dict[str, Any], is_first: bool) -> dict[str, Any]:
    """Return the parameters of a training: those that it goes on by where it has begun."""
    run = runs.Run(run_folder(folder.path, job.name))
    until = time.monotonic() + _PATIENCE
    while is_first and run.is_held() and time.monotonic() < until:
        time.sleep(1)  # the processes of a job that was killed need a moment to stop
    if run.all_checkpoints() and run.config.is_file():
        going_on = {key: parameters[key] for key in ("work_dir", "device") if key in parameters}
        return {"resume": True, **going_on}
    if is_first and run.path.exists():
        shutil.rmtree(run.path)  # what was killed before its first checkpoint
    return parameters


def _join(folder: SweepFolder, job: Job, step: Step) -> None:
    """Take a step as one of several processes."""
    from rgacli.engine.distributed import join, leave
    from rgacli.launch import record

    try:
        join("pytorch")
        _take_here(folder, job, step, folder.last_state(job.name), is_first=os.environ["RANK"] == "0")
        leave()
    except BaseException as error:
        traceback.print_exc()
        known = _known(error)
        record(known)
        raise SystemExit(known.exit_code) from None


def main(arguments: list[str]) -> int:
    """Run the job that the arguments name, or one step of it as one of several processes."""
    path, name, processes, *steps = arguments
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    take_signals()
    stop_with_parent()
    if not steps:
        return work(Path(path), name, processes=int(processes))
    folder = SweepFolder(Path(path))
    job = next(job for job in folder.read_jobs() if job.name == name)
    _join(folder, job, next(step for step in job.steps if step.function in steps))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
