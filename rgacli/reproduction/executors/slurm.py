"""Running tasks on SLURM through submitit: one job array for all that can begin at once, one for what comes after."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rgacli.cores import environment_of
from rgacli.errors import RunFailed, UsageError
from rgacli.messages import tell
from rgacli.reproduction.executors.task import ONE_PROCESSOR, Resources, Task, call
from rgacli.wording import param

_SECONDS_BETWEEN_LOOKS = 10.0
_HOURS = 24
_CPUS = 4
"""For each GPU, or without: one computes, the others load data."""
_PREFIX = "slurm_"


@dataclass(frozen=True)
class SlurmExecutor:
    """Runs tasks as SLURM's job arrays; they go on where this process ends.

    Attributes:
        folder: Of scripts and SLURM's own logs, on a disk that all machines share.
        resources: Of each task.
        jobs: How many at a time; None: as many as SLURM gives.
        parameters: More of submitit's parameters for SLURM, without their prefix.
    """

    folder: Path
    resources: Resources = ONE_PROCESSOR
    jobs: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, folder: Path, resources: Resources, given: Sequence[str] | Mapping[str, Any], jobs: int | None
    ) -> SlurmExecutor:
        """Return an executor with parameters as they are given: "partition=gpu" each, or a mapping.

        Raises:
            UsageError: one is not of that form, or submitit does not know it.
        """
        pairs = given.items() if isinstance(given, Mapping) else [_pair(text) for text in given]
        own = {str(key).removeprefix(_PREFIX): value for key, value in pairs}
        known = set(_submitit().SlurmExecutor._valid_parameters())
        for key in own:
            if key not in known:
                raise UsageError(f"{param('slurm', key)}: submitit knows {', '.join(sorted(known))}.")
        return cls(folder, resources, jobs, own)

    def scripts(self, tasks: Sequence[Task]) -> list[str]:
        """Return what is handed to sbatch: a script for each array, with the commands of its tasks as comments.

        The dependency of one array on another is on an id that SLURM gives, so here it is a placeholder.
        """
        from submitit.slurm.slurm import _make_sbatch_string

        found = []
        for number, wave in enumerate(_waves(tasks)):
            own = self._parameters(len(wave))
            if number:
                own["dependency"] = "afterany:ID-OF-THE-ARRAY-BEFORE"
            runner = shlex.join([sys.executable, "-u", "-m", "submitit.core._submit", str(self.folder)])
            script = _make_sbatch_string(command=runner, folder=str(self.folder), map_count=len(wave), **own)
            commands = [f"# {index}: {shlex.join(task.command)}" for index, task in enumerate(wave)]
            found.append("\n".join([script.rstrip(), "", "# What the tasks of the array run:", *commands, ""]))
        return found

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> dict[str, str]:
        """See Executor.

        Raises:
            RunFailed: this machine has no SLURM, or that refuses the jobs.
        """
        submitit = _submitit()
        try:
            executor = submitit.SlurmExecutor(folder=self.folder)
        except RuntimeError as error:
            raise RunFailed(f"there is no SLURM on this machine ({error}).") from error
        open_, before, endings = {}, None, {}
        try:
            for wave in _waves(tasks):
                own = self._parameters(len(wave))
                if before:
                    own["dependency"] = f"afterany:{before}"
                executor.update_parameters(**own)
                jobs = self._submitted(executor, wave)
                before = _array(jobs[0])
                open_ |= {task.name: job for task, job in zip(wave, jobs, strict=True)}
            while open_:
                for name in [name for name, job in open_.items() if job.done()]:
                    if found := _ending(open_.pop(name)):
                        endings[name] = found
                watch()
                time.sleep(_SECONDS_BETWEEN_LOOKS if open_ else 0)
        except (KeyboardInterrupt, SystemExit, RunFailed):
            if open_:
                ids = " ".join(sorted({_array(job) for job in open_.values()}))
                tell(f"{len(open_)} jobs stay in SLURM's queue, and go on: `scancel {ids}` ends them")
            raise
        return endings

    def _submitted(self, executor: Any, wave: Sequence[Task]) -> list[Any]:
        """Hand tasks to SLURM as an array, and return their jobs.

        Raises:
            RunFailed: it refuses them.
        """
        refusals = _submitit().core.utils
        try:
            return executor.map_array(partial(call, environment=environment_of(self.resources.threads)), wave)
        except (refusals.FailedJobError, refusals.FailedSubmissionError) as error:
            raise RunFailed(f"SLURM refused the jobs: {' '.join(str(error).split())}.") from error

    def _parameters(self, tasks: int) -> dict[str, Any]:
        gpus = self.resources.gpus
        own = {
            "job_name": "rgacli",
            "time": 60 * _HOURS,
            "cpus_per_task": self.resources.threads or _CPUS * max(1, gpus),
            **({"gpus_per_node": gpus} if gpus else {}),
            **({"array_parallelism": min(self.jobs or tasks, tasks)} if tasks > 1 else {}),
            **self.parameters,
        }
        # Since 22.05, srun does not take this over from the job that it is called in.
        return {"srun_args": [f"-c{own['cpus_per_task']}"], **own}


def _array(job: Any) -> str:
    """Return the id of the array that a job is in."""
    return job.job_id.partition("_")[0]


def _ending(job: Any) -> str:
    """Return how a job ended that did not end well, as its process or else SLURM has it; "" of one that did."""
    if error := job.exception():
        return f"SLURM: {job.state}; {str(error).strip().splitlines()[-1]}"
    return job.result()


def _waves(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return tasks in arrays: those that wait for none, those that wait for these, and so on."""
    depth: dict[str, int] = {}
    for task in tasks:
        depth[task.name] = 1 + max((depth[name] for name in task.after), default=-1)
    return [[task for task in tasks if depth[task.name] == number] for number in sorted(set(depth.values()))]


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise UsageError(f"{param('slurm', text)} is not of the form KEY=VALUE, such as partition=gpu.")
    return key.strip(), int(value) if value.isdecimal() else value.strip()


def _submitit() -> Any:
    # Its own logging goes to stdout, and setting that up closes the log files that other packages have open.
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
    try:
        import submitit
    except ImportError:
        raise UsageError("the package submitit is not installed: pip install submitit.") from None
    return submitit
