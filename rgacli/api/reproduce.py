"""Running a table or figure of the paper, or a sweep of one's own: jobs, and what their seeds tell."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from rgacli.api.parameters import require_at_least
from rgacli.api.targets import find_target, require_methods
from rgacli.cores import cores
from rgacli.errors import UsageError
from rgacli.files import write_text
from rgacli.messages import tell
from rgacli.parent import before_children
from rgacli.progress import Progress
from rgacli.reporting.page import Page, Section, render
from rgacli.reproduction.executors.local import LocalExecutor
from rgacli.reproduction.executors.task import Executor, Resources, Task
from rgacli.reproduction.folder import State, SweepFolder, overlaid
from rgacli.reproduction.jobs import Job, command_of, plan, run_folder
from rgacli.reproduction.judging import JudgedTable, judge
from rgacli.reproduction.record import Record, adopt, read_record, seeds_in
from rgacli.reproduction.stopping import Stopped, sigterm_as_interrupt
from rgacli.reproduction.sweep import Sweep, Table
from rgacli.reproduction.tables import shown, verdicts, write_tables
from rgacli.reproduction.watch import Watch
from rgacli.wording import param, sentence, some

ROOT = Path("reproduction")
ExecutorName = Literal["local", "slurm", "ray"]


@dataclass(frozen=True)
class JobReport:
    """A job of a sweep.

    Attributes:
        name, arm, seed: The job's.
        commands: Its calls, as they can be repeated by hand: those of several processes by the command line alone.
        state: "waiting", "running", "finished", "failed" or "stopped".
        error: Why it failed.
        run: Folder of its run; None where it trains nothing.
        log: File of what it said.
    """

    name: str
    arm: str
    seed: int
    commands: tuple[str, ...]
    state: str
    error: str
    run: Path | None
    log: Path


@dataclass(frozen=True)
class Reproduction:
    """A sweep, as far as it has come.

    Attributes:
        target: What was asked for.
        title: What that is.
        scale: "paper" or "small"; None of a sweep of one's own.
        folder: Where everything lies.
        manifest: Its jobs.
        jobs: The jobs of this target.
        tables: What the jobs found, beside the paper's numbers, and the verdicts on claims.
        files: The tables as CSV and LaTeX, all of them as JSON, and as one HTML page.
        scripts: What is handed to SLURM (`dry_run` alone).
    """

    target: str
    title: str
    scale: str | None
    folder: Path
    manifest: Path
    jobs: tuple[JobReport, ...]
    tables: tuple[JudgedTable, ...]
    files: tuple[Path, ...]
    scripts: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[JobReport, ...]:
        """Jobs that did not end well."""
        return tuple(job for job in self.jobs if job.state == "failed")

    @property
    def is_whole(self) -> bool:
        """Whether all jobs are finished."""
        return all(job.state == "finished" for job in self.jobs)


def reproduce(
    target: str,
    *,
    table: str | Sequence[str] | None = None,
    scale: Literal["paper", "small"] | None = None,
    data: Path | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    out: Path | None = None,
    executor: ExecutorName = "local",
    jobs: int | None = None,
    gpus_per_job: int | None = None,
    address: str | None = None,
    slurm: Sequence[str] | Mapping[str, Any] | None = None,
    record: Path | None = None,
    collect: bool = False,
    dry_run: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    progress: Progress | None = None,
) -> Reproduction:
    """Run what a table or a figure of the paper takes, or a sweep of one's own, and set it beside the paper's numbers.

    It becomes jobs in one folder, each a training with one seed and its evaluation. Called again, it goes on where it
    was: finished jobs are not repeated, those that were stopped go on from their last checkpoint, those that failed are
    tried again. Means are over seeds, with Student's 95 % intervals, differences within a seed; each claim of the paper
    is judged by rules that were written before (`rgacli.reproduction.judging`).

    Args:
        target: "table1" … "table8", "fig1a", "fig1b", "fig2", "fig3", "fig5", "fig6", "all", or a YAML file.
        table: Tables of a YAML file to run; by default all of them.
        scale: "paper": the paper's detectors and settings, on COCO and CrowdHuman where the configs look for them or in
            `data`. "small" (the default): the same comparisons by a detector that trains on a CPU in minutes.
        data: Dataset for all trainings, whatever a file says. At the small scale by default the embedded one with 400
            test images.
        seeds: How many seeds to train each arm with; by default 5, or what the file says.
        epochs: Of each training, whatever a file says, those of an arm with a number of its own in proportion; by
            default the config's.
        out: Folder of the sweep; by default reproduction/SCALE or reproduction/FILE, with the dataset's name where one
            is given. Targets that share a folder share their trainings.
        executor: "local": this machine; "slurm": job arrays through submitit; "ray": one task per job on a cluster.
        jobs: How many at a time; by default one for each GPU (or group of `gpus_per_job`), on a CPU one for two cores,
            on a cluster as many as it has room for.
        gpus_per_job: GPUs, and processes, of each training; by default 1 where there are any, else 0.
        address: Of the Ray cluster: "HOST:6379", "auto" or "ray://…"; by default the one that this machine belongs to.
        slurm: Parameters of submitit's executor, "slurm_partition=gpu" each or a mapping.
        record: File that all that was found is added to, with versions and calls; jobs that it has already are taken
            for finished, and what it has of other tables and seeds stays.
        collect: Run nothing: set up the tables of what is finished.
        dry_run: Run nothing and write nothing: return the jobs and, for SLURM, the scripts.
        device: Of all jobs; "auto" takes CUDA where there is one.
        progress: Told of the share of the work that is done, and of what runs.

    Raises:
        UsageError, DataError: the target, the sweep or a parameter cannot be used.
        RunFailed: the executor cannot run anything, or a signal stopped the sweep: it goes on by the same call.
    """
    _require_consistent(executor, address, slurm, jobs, gpus_per_job)
    if collect and dry_run:
        raise UsageError(f"{param('collect', True)} and {param('dry_run', True)} do not go together.")
    if epochs is not None:
        require_at_least(1, epochs=epochs)
    sweep, common, tables, scale = find_target(target, table, scale, data, epochs)
    if seeds is not None:
        require_at_least(1, seeds=seeds)
    record = Path(record) if record else None
    chosen = tuple(range(seeds)) if seeds is not None else sweep.seeds
    own = plan(sweep, tables, seeds=chosen, common=common, device=device)
    folder = SweepFolder(Path(out) if out else ROOT / _folder_name(scale or Path(target).stem, data))
    if scale is None and not collect:  # the paper's arms can be trained
        begun = {job.arm for job in own if job.trains and not folder.is_finished(job)}
        require_methods({arm: {**common, **each} for arm, each in sweep.arms.items() if arm in begun})
    if table is None and (left := sorted(sweep.arms.keys() - {job.arm for job in own})):
        tell(f"{some(left)}: in no table, and not trained")
    processes = _processes(gpus_per_job, folder, record, collect)
    about = {**_about(target, sweep, scale, common, chosen), "processes": processes}
    keeping = None
    if record:
        seeds_kept = sorted({*chosen, *seeds_in(record, about)})
        jobs_kept = plan(sweep, tables, seeds=seeds_kept, common=common, device=device)
        keeping = Record(record, jobs_kept, {**about, "seeds": seeds_kept})

    if dry_run:
        scripts = ()
        if executor == "slurm":
            tasks = _tasks(folder, own, processes)
            scripts = tuple(_executor(executor, folder, jobs, gpus_per_job, address, slurm, device).scripts(tasks))
        return _reproduction(target, sweep, scale, folder, own, (), (), processes, scripts)
    if collect:
        return _collected(target, sweep, scale, folder, own, tables, keeping, about)
    runner = None
    if not all(map(folder.is_finished, own)):  # before anything is written: a parameter may be of no use
        runner = _executor(executor, folder, jobs, gpus_per_job, address, slurm, device)
    with folder.held():
        every = folder.merged(own)
        if record and record.is_file() and (taken := adopt(record, folder, own)):
            tell(f"{taken} of {len(own)} jobs are finished by {record}")
        if lost := folder.forget_without_run(own):
            names = some([job.name for job in lost])
            tell(f"the runs of {names} are gone, and needed: they are trained again")
        folder.write_manifest(every, about)
        waiting = [job for job in own if not folder.is_finished(job)]
        if waiting and runner:
            watch = Watch(folder, every, own, about, progress, keeping, tables)
            tell(f"{len(waiting)} of {len(own)} jobs to run; manifest: {folder.manifest}")
            _run(runner, folder, waiting, processes, watch)
    return _collected(target, sweep, scale, folder, own, tables, keeping, about)


def _require_consistent(
    executor: str, address: str | None, slurm: Any, jobs: int | None, gpus_per_job: int | None
) -> None:
    for name, value, user in (("address", address, "ray"), ("slurm", slurm, "slurm")):
        if value and executor != user:
            given = ", ".join(value) if isinstance(value, list) else value
            raise UsageError(f"{param(name, given)} goes with {param('executor', user)}.")
    if jobs is not None:
        require_at_least(1, jobs=jobs)
    if gpus_per_job is not None:
        require_at_least(0, gpus_per_job=gpus_per_job)


def _processes(gpus_per_job: int | None, folder: SweepFolder, record: Path | None, collect: bool) -> int:
    """Return how many processes share each training: images in a step and learning rate depend on it.

    Raises:
        UsageError: the folder's trainings, or the record's, are of another number; not where nothing is run.
    """
    own = max(1, gpus_per_job or 0)
    recorded = read_record(record).get("processes") if record and record.is_file() else None
    for path, begun, name in ((folder.path, folder.processes(), "out"), (record, recorded, "record")):
        if begun not in (None, own):
            if not collect:
                raise UsageError(
                    f"{path} is of trainings by {begun} processes each, with as many times the images in a step: "
                    f"give {param('gpus_per_job', begun)}, or another {param(name)}."
                )
            own = begun
    return own


def _folder_name(what: str, data: Path | None) -> str:
    return f"{what}-{data.resolve().stem}" if data else what


def _about(
    target: str, sweep: Sweep, scale: str | None, common: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Any]:
    return {
        "target": target,
        "title": sweep.title,
        "scale": scale,
        "date": date.today().isoformat(),
        "common": dict(common),
        "seeds": list(seeds),
    }


def _executor(
    name: str,
    folder: SweepFolder,
    jobs: int | None,
    gpus_per_job: int | None,
    address: str | None,
    slurm: Sequence[str] | Mapping[str, Any] | None,
    device: str,
) -> Any:
    """Return what runs the jobs."""
    if name == "slurm":
        from rgacli.reproduction.executors.slurm import SlurmExecutor

        return SlurmExecutor.of(folder.path / "slurm", Resources(gpus_per_job or 0), slurm or {}, jobs)
    if name == "ray":
        from rgacli.reproduction.executors.ray import RayExecutor

        return RayExecutor(address, Resources(gpus_per_job or 0), jobs)
    return _local(jobs, gpus_per_job, device)


def _local(jobs: int | None, gpus_per_job: int | None, device: str) -> Executor:
    gpus = 0
    if device != "cpu" and gpus_per_job != 0:
        import torch

        gpus = torch.cuda.device_count()
    if gpus_per_job and gpus_per_job > gpus:
        raise UsageError(f"{param('gpus_per_job', gpus_per_job)}: torch sees {gpus or 'no'} GPU{'s' * (gpus != 1)}.")
    each = (gpus_per_job or 1) if gpus else 0
    places = jobs or (max(1, gpus // each) if each else max(1, cores() // 2))
    return LocalExecutor(places, Resources(each, max(1, cores() // places)), gpus)


def _run(runner: Executor, folder: SweepFolder, waiting: Sequence[Job], processes: int, watch: Watch) -> None:
    """Run jobs to their ends, and note how those ended that could not note it."""
    before_children()
    for job in waiting:
        if not folder.is_job_held(job.name):
            last = folder.last_state(job.name)
            folder.write_state(job.name, State(step=last.step, seconds=last.seconds))
    try:
        with sigterm_as_interrupt():
            endings = runner.run(_tasks(folder, waiting, processes), watch)
        for job in waiting:
            _note_gone(folder, job, "failed", endings.get(job.name, "its process is gone."))
    except BaseException as error:
        for job in waiting:
            _note_gone(folder, job, "stopped", "its process is gone.")
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise Stopped(f"stopped; the same call goes on with the jobs in {folder.path}.") from None
        raise
    finally:
        watch(last=True)


def _note_gone(folder: SweepFolder, job: Job, as_: Literal["failed", "stopped"], why: str) -> None:
    """Note how a job ended that says that it runs or waits, and that no process works on.

    Args:
        folder, job: Of the sweep.
        as_: Of jobs that are "stopped", those that wait were not begun.
        why: How its process ended.
    """
    state = folder.state(job)
    began = ("running", "waiting") if as_ == "failed" else ("running",)
    if state.state in began and not folder.is_job_held(job.name):
        folder.write_state(job.name, replace(state, state=as_, ended=time.time(), error=why))


def _tasks(folder: SweepFolder, waiting: Sequence[Job], processes: int) -> list[Task]:
    """Return the tasks of jobs that are to be run, those before that others need."""
    names = {job.name for job in waiting}
    return [
        Task(
            job.name,
            (sys.executable, "-m", "rgacli.api.job", str(folder.path.absolute()), job.name, str(processes)),
            tuple(name for name in job.after if name in names),
            folder.log(job.name).absolute(),
        )
        for job in waiting
    ]


def _collected(
    target: str,
    sweep: Sweep,
    scale: str | None,
    folder: SweepFolder,
    own: Sequence[Job],
    tables: Sequence[Table],
    keeping: Record | None,
    about: Mapping[str, Any],
) -> Reproduction:
    """Return the tables of what is finished, here or by the record, written to files."""
    numbers = overlaid(keeping.numbers(own) if keeping else {}, folder.numbers(own))
    judged = tuple(judge(table, numbers) for table in tables)
    files: Sequence[Path] = ()
    if numbers:
        files = [*write_tables(folder.tables, judged), _write_page(folder, sweep, about, judged)]
        if keeping:
            keeping.write(folder, tables)
        tell(f"tables: {folder.tables}")
    return _reproduction(target, sweep, scale, folder, own, judged, files, about["processes"])


def _write_page(folder: SweepFolder, sweep: Sweep, about: Mapping[str, Any], tables: Sequence[JudgedTable]) -> Path:
    """Write the tables as one page that needs no network, the verdicts first, and return it."""
    page = Page(
        title=sweep.title,
        subtitle=f"{about['target']}, {about['date']}",
        answers=[sentence(text) for text in verdicts(tables)],
        about={key: str(about[key]) for key in ("scale", "common", "seeds")} | {"jobs": str(folder.manifest)},
        sections=[Section(table.title, tables=shown(table), lacking="; ".join(table.lacking)) for table in tables],
        gallery=None,
    )
    path = folder.tables / "report.html"
    write_text(path, render(page))
    return path


def _reproduction(
    target: str,
    sweep: Sweep,
    scale: str | None,
    folder: SweepFolder,
    own: Sequence[Job],
    tables: Sequence[JudgedTable],
    files: Sequence[Path],
    processes: int,
    scripts: Sequence[str] = (),
) -> Reproduction:
    return Reproduction(
        target=target,
        title=sweep.title,
        scale=scale,
        folder=folder.path,
        manifest=folder.manifest,
        jobs=tuple(_report(folder, job, processes) for job in own),
        tables=tuple(tables),
        files=tuple(files),
        scripts=tuple(scripts),
    )


def _report(folder: SweepFolder, job: Job, processes: int) -> JobReport:
    state = folder.state(job)
    return JobReport(
        name=job.name,
        arm=job.arm,
        seed=job.seed,
        commands=tuple(command_of(folder.path, job, step, processes) for step in job.steps),
        state=state.state,
        error=state.error if state.state in ("failed", "stopped") else "",
        run=run_folder(folder.path, job.name) if job.trains else None,
        log=folder.log(job.name),
    )
