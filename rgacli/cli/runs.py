"""`rgacli runs`: what runs there are, and removing what is not needed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from rgacli.cli.command import Command, DefaultGroup
from rgacli.cli.options import JsonOption, RunArgument
from rgacli.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from rgacli.api.runs import Removal, RunDetails
    from rgacli.config.run_record import RunRecord, Validation

_DEFAULT = "list"


class _Group(DefaultGroup):
    default = _DEFAULT


app = typer.Typer(
    name="runs",
    cls=_Group,
    help=f"List runs (`rgacli runs` alone does: see `rgacli runs {_DEFAULT} --help`), show one, or free disk space.",
)

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Remove nothing: tell what would be.")]


@app.command(_DEFAULT, cls=Command)
def list_(json: JsonOption = False) -> None:
    """List the runs under runs/, the one begun last at the end.

    Epochs as trained and as planned; AP (on CrowdHuman mMR, where less is better) of the ensemble on the validation
    split, the last and the best. "running" is a run that a process of this machine trains now, "stopped" one that ran
    out of patience.
    """
    from rgacli.api.runs import list_runs

    records = list_runs()
    if json:
        print_json([asdict(record) for record in records])
    elif not records:
        say("no run under runs/: train one first (`rgacli train`)")
    else:
        columns = ("run", "epoch", "last AP", "best", "size", "age", "state")
        print_table("runs", {name: name for name in columns}, [_row(record) for record in records])


@app.command(cls=Command)
def show(run: RunArgument = None, json: JsonOption = False) -> None:
    """Show all that is known of a run: config, data, method, schedule, validations, and what lies where."""
    from rgacli.api.runs import show_run

    result = show_run(run)
    if json:
        print_json(asdict(result))
        return
    rows = [{"what": what, "value": str(value)} for what, value in _details(result).items() if value not in (None, "")]
    print_table(f"run {result.record.name}", {"what": "", "value": ""}, rows)
    for title, validation in (("last", result.record.last), ("best", result.record.best)):
        if validation and (title == "last" or validation != result.record.last):
            heads = [{"head": head, **values} for head, values in validation.heads.items()]
            print_table(f"{title} validation: {_when(validation)}", {key: key for key in heads[0]}, heads)


@app.command(cls=Command)
def rm(
    run: Annotated[list[str], typer.Argument(metavar="RUN", help="Runs, by name or directory.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove runs with all that they have left: checkpoints, logs, detections, figures, predictions and exports.

    Other files in a run's directory stay, and so does what a link points to.
    """
    from rgacli.api.runs import remove_runs

    removals = remove_runs(run, dry_run=True)
    if _to_be_done(removals, "remove", dry_run=dry_run, yes=yes):
        remove_runs(run)
        say(f"freed {_freed(removals)}")


@app.command(cls=Command)
def prune(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs, by name or directory. Default: all.", show_default=False),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove the checkpoints of runs but for the last, which --resume goes on from, and the best in validation."""
    from rgacli.api.runs import prune_runs

    removals = prune_runs(run, dry_run=True)
    if _to_be_done(removals, "prune", dry_run=dry_run, yes=yes):
        prune_runs(run)
        say(f"freed {_freed(removals)}")


def _to_be_done(removals: Sequence[Removal], verb: str, *, dry_run: bool, yes: bool) -> bool:
    """Tell what is to be removed, and return whether to: if there is anything, it is meant, and confirmed."""
    for removal in removals:
        for note in removal.notes:
            say(f"{removal.name}: {note}")
        if removal.removed:
            names = ", ".join(path.name for path in removal.removed)
            say(f"{removal.name}: {decimal(removal.freed)} ({names})")
    meant = [removal for removal in removals if removal.removed]
    if not meant or dry_run:
        say(f"{_freed(meant)} would be freed" if meant else "nothing to remove")
        return False
    return yes or typer.confirm(f"{verb} {len(meant)} run{'s' * (len(meant) > 1)}?", abort=True, err=True)


def _freed(removals: Sequence[Removal]) -> str:
    return decimal(sum(removal.freed for removal in removals))


def _row(record: RunRecord) -> dict[str, Any]:
    """Return a run's line of the table."""
    about = [record.config, record.data and record.data.name]
    lines = [record.name, "  " + " on ".join(filter(None, about)), f"  {_method(record)}"]
    if record.problems:
        lines[1:] = [f"  {problem}" for problem in record.problems]
    return {
        "run": "\n".join(line for line in lines if line.strip()),
        "epoch": _progress(record),
        "last AP": _score(record.last),
        "best": _score(record.best),
        "size": decimal(record.size),
        "age": _age(record.begun),
        "state": "damaged" if record.problems else record.state,
    }


def _details(result: RunDetails) -> dict[str, Any]:
    record = result.record
    return {
        "directory": record.path,
        "state": record.state,
        "problems": "\n".join(record.problems),
        "begun": f"{record.begun:%Y-%m-%d %H:%M} ({_age(record.begun)} ago)",
        "config": record.config,
        "data": record.data,
        "method": _method(record),
        "iterations done" if record.iterations else "epoch": _progress(record),
        **result.schedule,
        "checkpoints": _files(result.checkpoints, {"last": result.last_checkpoint, "best": result.best_checkpoint}),
        "contents": _files(result.contents, {}),
        "size": decimal(record.size),
    }


def _files(sizes: Mapping[str, int], remarks: Mapping[str, Path | None]) -> str:
    """Return a line for each file or folder."""

    def line(path: str, size: int) -> str:
        said = [decimal(size), *(remark for remark, of in remarks.items() if of and str(of) == path)]
        return f"{path} ({', '.join(said)})"

    return "\n".join(line(path, size) for path, size in sizes.items())


def _method(record: RunRecord) -> str:
    heads = ", ".join(record.ratios) + " (hard)" * (record.sampling == "hard") if record.ratios else "no PRM"
    return f"{heads}, " + ("no RGA" if record.lambda0 is None else f"λ0 {record.lambda0:g} ({record.anneal})")


def _progress(record: RunRecord) -> str:
    """Return "3/12", in epochs, or in iterations where the training counts those."""
    done, total = (record.iteration, record.iterations) if record.iterations else (record.epoch, record.epochs)
    return f"{done or 0}/{'?' if total is None else total}"


def _score(validation: Validation | None) -> str | None:
    """Return "0.183", or with the metric where that is another: "mMR 0.512"."""
    if validation is None or validation.score is None:
        return None
    return f"{validation.metric} " * (validation.metric != "AP") + f"{validation.score:.3f}"


def _when(validation: Validation) -> str:
    return f"epoch {validation.epoch}" if validation.epoch else f"iteration {validation.iteration}"


def _age(begun: datetime) -> str:
    """Return "5 min", "3 h", "2 d"."""
    minutes = max(0, int((datetime.now().astimezone() - begun).total_seconds() // 60))
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes >= length:
            return f"{minutes // length} {unit}"
    return f"{minutes} min"
