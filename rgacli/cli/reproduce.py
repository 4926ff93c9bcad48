"""`rgacli reproduce`: the paper's tables and figures, or a sweep of one's own, as jobs with seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import LAYOUTS, JsonOption
from rgacli.cli.output import print_json, print_table, say
from rgacli.cli.progress import live_progress

if TYPE_CHECKING:
    from rgacli.api.reproduce import JobReport, Reproduction
    from rgacli.reproduction.judging import JudgedTable

app = typer.Typer()

_WHAT, _WHERE = "What to run", "Where to run it"
_LISTED = 20


@app.command(cls=Command)
def reproduce(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="table1 … table8, fig1a, fig1b, fig2, fig3, fig5, fig6 (Fig. 4 is a drawing), all, or a YAML file.",
        ),
    ],
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_WHAT,
            help="A table of the YAML file to run. Repeatable. Default: all of them.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        Literal["paper", "small"] | None,
        typer.Option(
            rich_help_panel=_WHAT,
            help="'paper': its detectors and settings, on COCO and CrowdHuman (for 8 GPUs); 'small': the same "
            "comparisons by a detector that a CPU trains in minutes. Default: small.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_WHAT,
            help=f"Dataset of all trainings, whatever a file says: {LAYOUTS}. Default: the config's own; at the small "
            "scale the embedded one with 400 test images.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_WHAT,
            help="Seeds to train everything with, 0 and up: intervals take two, and small effects more (the paper has "
            "one of each). Default: 5, or the file's.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_WHAT,
            help="Epochs of each training, whatever a file says; an arm that has a number of its own there keeps the "
            "proportion. Default: the configs' or the file's.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            rich_help_panel=_WHAT,
            help="Folder of the sweep; targets that share it share their trainings. Default: reproduction/SCALE or "
            "reproduction/FILE, with the dataset's name where one is given.",
            show_default=False,
        ),
    ] = None,
    executor: Annotated[
        Literal["local", "slurm", "ray"],
        typer.Option(
            rich_help_panel=_WHERE,
            help="This machine, SLURM's job arrays through submitit (pip install submitit), or a Ray cluster "
            "(pip install ray) whose machines share DIR.",
        ),
    ] = "local",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_WHERE,
            help="Jobs at a time, among which this machine's processors and GPUs are shared out. Default: one for each "
            "GPU, on a CPU one for two cores; of a cluster as many as it has room for.",
            show_default=False,
        ),
    ] = None,
    gpus_per_job: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=_WHERE,
            help="GPUs of each training, with a process each. Default: 1 where this machine has any; of a cluster 0.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            rich_help_panel=_WHERE,
            help="The Ray cluster; also 'auto' or ray://…. Default: the one that this machine belongs to, else a new "
            "one on it.",
            show_default=False,
        ),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            rich_help_panel=_WHERE,
            help="A parameter of submitit for SLURM, such as partition=gpu, time=600 (minutes), account=…. Repeatable.",
            show_default=False,
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Add all that is found to this JSON file, with versions and calls; what it has already is not run "
            "again, and stays.",
            show_default=False,
        ),
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Run nothing: show the tables of what is finished.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run and write nothing: show the jobs, and the scripts for SLURM.")
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(rich_help_panel=_WHERE, help="Of all jobs; 'auto' takes CUDA where there is one."),
    ] = "auto",
    json: JsonOption = False,
) -> None:
    """Run a table or figure of the paper, or a sweep of your own, and set it beside the paper's numbers.

    Each training, with its evaluation, is a job in one folder. The same command goes on where it was stopped or killed:
    what is finished is not repeated, what failed is tried again. Means and 95 % intervals (Student's) are over seeds,
    differences within a seed; each claim of the paper holds, is not shown, or is contradicted, by whether its interval
    lies all on the side of 0 that is claimed (of "the same": within a margin), on both, or on the other.
    """
    from rgacli.api import reproduce as api

    with live_progress() as progress:
        found = api.reproduce(
            target,
            table=table,
            scale=scale,
            data=data,
            seeds=seeds,
            epochs=epochs,
            out=out,
            executor=executor,
            jobs=jobs,
            gpus_per_job=gpus_per_job,
            address=address,
            slurm=slurm,
            record=record,
            collect=collect,
            dry_run=dry_run,
            device=device,
            progress=progress,
        )
    if json:
        print_json(asdict(found))
    elif dry_run:
        _print_plan(found)
    else:
        for each in found.tables:
            _print_judged(each)
    _say_what_is_open(found, dry_run)
    if found.failed or not (found.is_whole or collect or dry_run):
        raise typer.Exit(1)


def _print_plan(found: Reproduction) -> None:
    """Print the commands of each job, and the scripts for SLURM."""
    print(f"# {len(found.jobs)} jobs in {found.folder}")
    for job in found.jobs:
        print(f"# {job.name}" + (f": {job.state}" if job.state != "waiting" else ""))
        print("\n".join(job.commands))
    for script in found.scripts:
        print(f"\n{script}")


def _print_judged(table: JudgedTable) -> None:
    """Print a table beside the paper's numbers, and the verdicts on its claims."""
    from rgacli.reproduction.tables import shown

    for each in shown(table):
        print_table(each.title, each.columns, each.rows)
    for text in table.lacking:
        typer.echo(f"lacking: {text}")


def _say_what_is_open(found: Reproduction, dry_run: bool) -> None:
    """Say how many jobs are not finished, and why those that failed did."""
    if dry_run or found.is_whole:
        return
    counts = Counter(job.state for job in found.jobs)
    others = ", ".join(f"{number} {state}" for state, number in counts.items())
    say(f"{len(found.jobs)} jobs: {others}" + f"; manifest: {found.manifest}" * found.manifest.is_file())
    for job in found.failed[:_LISTED]:
        _say_failed(job)
    if len(found.failed) > _LISTED:
        say(f"and {len(found.failed) - _LISTED} more failed: see the manifest")


def _say_failed(job: JobReport) -> None:
    say(f"{job.name} failed: {job.error} (log: {job.log})")
