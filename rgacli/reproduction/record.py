"""A record: what the jobs of a sweep found, with seeds, versions and calls, in one file that outlives the runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rgacli.errors import DataError, UsageError
from rgacli.files import write_text
from rgacli.reproduction.folder import NumbersByArm, SweepFolder, is_of, numbers_of, overlaid
from rgacli.reproduction.jobs import Job, Step
from rgacli.reproduction.judging import judge
from rgacli.reproduction.numbers import rounded
from rgacli.reproduction.sweep import Table

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """A record that a sweep adds to.

    Attributes:
        path: Of the record, which may not be there yet.
        jobs: What the tables take, with the seeds that it has as well.
        about: What it is headed by.
    """

    path: Path
    jobs: Sequence[Job]
    about: Mapping[str, Any]

    def numbers(self, jobs: Sequence[Job]) -> NumbersByArm:
        """Return what it has of these jobs, as `SweepFolder.numbers` does."""
        return _numbers_in(read_record(self.path), jobs) if self.path.is_file() else {}

    def write(self, folder: SweepFolder, tables: Sequence[Table]) -> None:
        """Add what a sweep has found so far; what the record has of other jobs and tables stays.

        Args:
            folder, tables: Of the sweep.

        Raises:
            DataError: the file is no record.
        """
        before = read_record(self.path) if self.path.is_file() else {"jobs": {}}
        jobs = dict(before["jobs"])
        for job in self.jobs:
            for step in job.steps:
                if (result := folder.result(job, step)) is not None:
                    # Parameters as they are: by them `adopt` knows the call.
                    found = {**rounded(result), "parameters": result["parameters"]}
                    jobs[job.name] = {**jobs.get(job.name, {}), step.function: found}
        numbers = overlaid(_numbers_in(before, self.jobs), folder.numbers(self.jobs))
        judged = [rounded(asdict(judge(table, numbers))) for table in tables]
        every = {table["name"]: table for table in (*before.get("tables", ()), *judged)}
        content = {"format": FORMAT, **self.about, "tables": list(every.values()), "jobs": jobs}
        write_text(self.path, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


def seeds_in(path: Path, about: Mapping[str, Any]) -> Sequence[int]:
    """Return the seeds that a record has.

    Raises:
        UsageError, DataError: it is none, or of other trainings.
    """
    if not path.is_file():
        return ()
    content = read_record(path)
    _require_of_same(path, content, about)
    return content.get("seeds", ())


def _require_of_same(path: Path, content: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Raise a UsageError unless a record is of trainings with the same in common: it has one heading for all."""
    own = json.loads(json.dumps(about, default=str))
    for key in ("scale", "common"):
        if content.get(key) != own[key]:
            raise UsageError(
                f"record {path} is of other trainings ({key}: {content.get(key)}, not {own[key]}): name another file."
            )


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        DataError: it is not there, or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"record {path} does not exist.") from error
    except ValueError as error:
        raise DataError(f"record {path} is no JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or "jobs" not in content:
        raise DataError(f"{path} is no record of a sweep of this version.")
    return content


def adopt(path: Path, folder: SweepFolder, jobs: Sequence[Job]) -> int:
    """Take the jobs that a record has for finished, as if this folder's had found it; return how many.

    A job whose run is needed, by others that are not finished or by a step of its own that the record has not, is taken
    only if its run is here.

    Args:
        path: The record.
        folder, jobs: Of the sweep; each job stands after those that it needs.

    Raises:
        DataError: as `read_record`.
    """
    found = read_record(path)["jobs"]
    before = {job.name for job in jobs if folder.is_finished(job)}
    for job in jobs:
        own = found.get(job.name, {})
        for step in job.steps:
            result = own.get(step.function)
            if result and folder.result(job, step) is None:
                about = {key: value for key, value in result.items() if key not in ("parameters", "numbers")}
                if is_of(result, step):
                    folder.write_result(job.name, step, result["numbers"], **about)
    folder.forget_without_run(jobs)
    return sum(folder.is_finished(job) for job in jobs if job.name not in before)


def _numbers_in(content: Mapping[str, Any], jobs: Sequence[Job]) -> NumbersByArm:
    """Return what a record has of these jobs' calls."""

    def result(job: Job, step: Step) -> Mapping[str, Any] | None:
        found = content["jobs"].get(job.name, {}).get(step.function)
        return found if found and is_of(found, step) else None

    return numbers_of(jobs, result)
