"""A record: what the jobs of a sweep found, with seeds, versions and calls, in one file that outlives the runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rgacli.errors import DataError
from rgacli.files import write_text
from rgacli.reproduction.folder import SweepFolder, is_of
from rgacli.reproduction.jobs import Job
from rgacli.reproduction.judging import JudgedTable
from rgacli.reproduction.numbers import rounded

FORMAT = 1


def write_record(
    path: Path, folder: SweepFolder, jobs: Sequence[Job], tables: Sequence[JudgedTable], about: Mapping[str, Any]
) -> None:
    """Write what a sweep has found so far.

    Args:
        path: The record.
        folder, jobs: Of the sweep.
        tables: Judged by it.
        about: What else is to be told: title, scale, data, ….
    """
    found = {
        job.name: {
            # Parameters as they are: by them `adopt` knows the call.
            step.function: {**rounded(result), "parameters": result["parameters"]}
            for step in job.steps
            if (result := folder.result(job, step)) is not None
        }
        for job in jobs
    }
    content = {
        "format": FORMAT,
        **about,
        "tables": [rounded(asdict(table)) for table in tables],
        "jobs": {name: steps for name, steps in found.items() if steps},
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


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
    by_name = {job.name: job for job in jobs}
    for job in reversed(jobs):  # one that is forgotten needs those before it
        if not folder.is_finished(job):
            for needed in (job, *(by_name[name] for name in job.after)):
                if needed.trains and not folder.has_run(needed):
                    folder.forget(needed)
    return sum(folder.is_finished(job) for job in jobs if job.name not in before)
