"""The folder of a sweep: what its jobs are, how far they are, and what they found.

DIR/
    manifest.json          the jobs: their calls and commands, state, run and log
    jobs/<job>/            state.json, log.txt, and <step>.json of each step that is done: what it found
    runs/<job>/            the run of each arm and seed
    figures/               what was drawn of several runs
    tables/                each table as CSV and LaTeX, all of it as JSON, and report.html

Each job writes into its own folder alone, so that jobs of several machines need nothing but a shared disk; the manifest
is written by the one process that runs the sweep.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rgacli.errors import DataError, UsageError
from rgacli.files import write_json, write_text
from rgacli.locks import LOCK, locked, try_lock
from rgacli.reproduction.jobs import RUNS, Job, Step, command_of, run_folder
from rgacli.wording import called, param

FORMAT = 1
NumbersByArm = dict[str, dict[int, dict[str, float]]]
"""Arm -> seed -> name of a number -> its value."""

_SECONDS_BETWEEN_TRIES = 0.5

JobState = Literal["waiting", "running", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class State:
    """How far a job is.

    Attributes:
        state: "waiting" for its turn, "running", "finished", "failed", or "stopped" by a signal or with its machine.
        step: The function that it is at, or ended at.
        done, total: Of the step, as it reports progress.
        seconds: That the step has taken, in all processes that worked on it one after another.
        began, ended: Seconds since the epoch; None where it has not.
        host, pid: Where it runs.
        error: Why it failed, in a line.
    """

    state: JobState = "waiting"
    step: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    began: float | None = None
    ended: float | None = None
    host: str = ""
    pid: int | None = None
    error: str = ""

    def at(self, step: str) -> State:
        """Return it at the beginning of a step, or where that goes on."""
        return replace(self, step=step, done=0, total=0, seconds=self.seconds if step == self.step else 0.0)


@dataclass(frozen=True)
class SweepFolder:
    """A sweep on disk."""

    path: Path

    @property
    def manifest(self) -> Path:
        """The manifest's file."""
        return self.path / "manifest.json"

    @property
    def tables(self) -> Path:
        """Folder of the results."""
        return self.path / "tables"

    def log(self, job: str) -> Path:
        """Return the file of what a job said."""
        return self._of(job) / "log.txt"

    def _of(self, job: str) -> Path:
        return self.path / "jobs" / job

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the sweep for as long as it is run.

        Raises:
            UsageError: another process runs it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / LOCK, f"the sweep in {self.path} is being run by"):
            yield

    @contextmanager
    def job_held(self, job: str, patience: float = 0.0) -> Iterator[bool]:
        """Hold a job for as long as it is worked on; yield False where another process has it.

        Args:
            job: Its name.
            patience: Seconds to wait for that other process to end.
        """
        path = self._lock_of(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + patience
        with path.open("w") as file:
            while not (own := try_lock(file.fileno(), fcntl.LOCK_EX) is not False) and time.monotonic() < until:
                time.sleep(_SECONDS_BETWEEN_TRIES)
            try:
                yield own
            finally:
                try_lock(file.fileno(), fcntl.LOCK_UN)  # processes that load data have the file open as well

    def is_job_held(self, job: str) -> bool:
        """Return whether a process works on a job now, on whichever machine, as far as the file system tells."""
        try:
            with self._lock_of(job).open("rb") as file:
                return try_lock(file.fileno(), fcntl.LOCK_SH) is False
        except OSError:
            return False

    def _lock_of(self, job: str) -> Path:
        return self._of(job) / LOCK

    def read_jobs(self) -> list[Job]:
        """Return the jobs of the manifest; none where there is no manifest.

        Raises:
            DataError: the manifest cannot be read.
        """
        try:
            return [
                Job(
                    each["name"],
                    each["arm"],
                    each["seed"],
                    tuple(Step(step["function"], step["parameters"]) for step in each["steps"]),
                    tuple(each["after"]),
                )
                for each in self._read_manifest().get("jobs", [])
            ]
        except (KeyError, TypeError) as error:
            raise DataError(f"{self.manifest} is damaged: a job has no {error}.") from error

    def processes(self) -> int | None:
        """Return how many processes share each training, as the manifest has it; None where it says nothing.

        Raises:
            DataError: the manifest cannot be read.
        """
        return self._read_manifest().get("processes")

    def _read_manifest(self) -> dict[str, Any]:
        if not self.manifest.is_file():
            return {}
        try:
            content = json.loads(self.manifest.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{self.manifest} is no JSON: {error}.") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f"{self.manifest} is no manifest of this version.")
        return content

    def merged(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the manifest's jobs and these, each once: a job of both has the steps of both.

        A combination or a figure that is of other runs than it was is forgotten, to be made anew.

        Raises:
            UsageError: a job of the manifest is another than the one of the same name here.
        """
        found = {job.name: job for job in self.read_jobs()}
        for job in jobs:
            before = found.get(job.name)
            if before is None:
                found[job.name] = job
                continue
            if before.after != job.after:
                if job.trains:
                    raise UsageError(
                        f"{self.path} holds another sweep: its job {job.name} starts from "
                        f"{before.starts_from or 'no other'}, and here from {job.starts_from or 'no other'}. "
                        f"Choose another {param('out')}."
                    )
                self.forget(before)
            steps = {step.function: step for step in before.steps}
            for step in job.steps:
                known = steps.get(step.function, step)
                if call_as_kept(known) != call_as_kept(step):
                    raise UsageError(
                        f"{self.path} holds another sweep: its job {job.name} is "
                        f"{called(step.function, known.parameters)}, and here it would be "
                        f"{called(step.function, step.parameters)}. Choose another {param('out')}."
                    )
                steps[step.function] = step
            found[job.name] = Job(job.name, job.arm, job.seed, tuple(steps.values()), job.after)
        return list(found.values())

    def write_manifest(self, jobs: Sequence[Job], about: Mapping[str, Any]) -> None:
        """Write what the jobs are and how far.

        Args:
            jobs: All of the sweep.
            about: What else is to be told of it; "processes" that share a training, if several.
        """
        described = [self._describe(job, about.get("processes", 1)) for job in jobs]
        content = {"format": FORMAT, **about, "jobs": described}
        write_text(self.manifest, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")

    def _describe(self, job: Job, processes: int) -> dict[str, Any]:
        steps = [
            {
                "function": step.function,
                "parameters": step.parameters,
                "command": command_of(self.path, job, step, processes),
                "done": self.result(job, step) is not None,
            }
            for step in job.steps
        ]
        own = {"name": job.name, "arm": job.arm, "seed": job.seed, "after": job.after, "steps": steps}
        run = {"run": f"{RUNS}/{job.name}"} if job.trains else {}
        return {**own, **run, "log": f"jobs/{job.name}/log.txt", **asdict(self.state(job))}

    def state(self, job: Job) -> State:
        """Return how far a job is: finished where all its steps are, whatever its last state was."""
        last = self.last_state(job.name)
        if self.is_finished(job):
            return replace(last, state="finished", error="")
        return last if last.state != "finished" else State()

    def last_state(self, job: str) -> State:
        """Return what a job noted last; of one that has noted nothing, that it waits."""
        try:
            return State(**json.loads((self._of(job) / "state.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return State()

    def write_state(self, job: str, state: State) -> None:
        """Note how far a job is."""
        write_json(self._of(job) / "state.json", asdict(state))

    def is_finished(self, job: Job) -> bool:
        """Return whether all its steps are done."""
        return all(self.result(job, step) is not None for step in job.steps)

    def result(self, job: Job, step: Step) -> dict[str, Any] | None:
        """Return what a step found, with the call that found it; None where it is not done, or by another call."""
        path = self._of(job.name) / f"{step.function}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and is_of(found, step) else None

    def write_result(self, job: str, step: Step, numbers: Mapping[str, float], **about: Any) -> None:
        """Keep what a step found: from now on it is done."""
        content = {"parameters": call_as_kept(step), "numbers": dict(numbers), **about}
        write_json(self._of(job) / f"{step.function}.json", content)

    def seconds(self, job: Job) -> float:
        """Return the seconds that the steps of a job took that are done."""
        return sum((self.result(job, step) or {}).get("seconds", 0.0) for step in job.steps)

    def forget(self, job: Job) -> None:
        """Have a job taken for one that was never run."""
        for step in job.steps:
            (self._of(job.name) / f"{step.function}.json").unlink(missing_ok=True)
        (self._of(job.name) / "state.json").unlink(missing_ok=True)

    def forget_without_run(self, jobs: Sequence[Job]) -> list[Job]:
        """Forget those jobs whose run is needed and gone; return them.

        Needed by others that are not finished, or by a step of their own that is not.

        Args:
            jobs: Each stands after those that it needs.
        """
        by_name, forgotten = {job.name: job for job in jobs}, []
        for job in reversed(jobs):  # one that is forgotten needs those before it
            if not self.is_finished(job):
                for needed in (job, *(by_name[name] for name in job.after)):
                    if needed.trains and not self.has_run(needed) and self.result(needed, needed.steps[0]) is not None:
                        self.forget(needed)
                        forgotten.append(needed)
        return forgotten

    def has_run(self, job: Job) -> bool:
        """Return whether the run of a job is there with a checkpoint."""
        checkpoints = (run_folder(self.path, job.name) / "checkpoints").glob("[!.]*.pth")  # hidden: half written
        return any(checkpoints)

    def numbers(self, jobs: Sequence[Job]) -> NumbersByArm:
        """Return what the steps that are done have found."""
        return numbers_of(jobs, self.result)


def numbers_of(jobs: Sequence[Job], result: Callable[[Job, Step], Mapping[str, Any] | None]) -> NumbersByArm:
    """Return the numbers of those steps that have a result."""
    found: NumbersByArm = {}
    for job in jobs:
        for step in job.steps:
            if (own := result(job, step)) is not None:
                found.setdefault(job.arm, {}).setdefault(job.seed, {}).update(own["numbers"])
    return found


def overlaid(below: NumbersByArm, above: NumbersByArm) -> NumbersByArm:
    """Return both, with what `above` has in place of what `below` has of the same name."""
    found = {arm: {seed: dict(own) for seed, own in seeds.items()} for arm, seeds in below.items()}
    for arm, seeds in above.items():
        for seed, own in seeds.items():
            found.setdefault(arm, {}).setdefault(seed, {}).update(own)
    return found


def call_as_kept(step: Step) -> dict[str, Any]:
    """Return a step's parameters as they come back from JSON, by which calls are told apart: not by their device."""
    return json.loads(json.dumps(_but_device(step.parameters), default=os.fspath))


def is_of(result: Mapping[str, Any], step: Step) -> bool:
    """Return whether a result that is kept is of a step's call; those of before name their device."""
    parameters = result.get("parameters")
    return isinstance(parameters, dict) and _but_device(parameters) == call_as_kept(step)


def _but_device(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key != "device"}


def sweep_of(run: Path) -> SweepFolder | None:
    """Return the sweep that a run's folder lies in; None of a run by itself."""
    folder = run.absolute().parent
    found = SweepFolder(folder.parent)
    return found if folder.name == RUNS and found.manifest.is_file() else None
