"""`rgacli analyze`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import (
    BinsOption,
    CheckpointOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MaxDetsOption,
    RunArgument,
    SplitOption,
    WhichOption,
)
from rgacli.cli.output import counted, print_json, print_table
from rgacli.cli.progress import live_progress

if TYPE_CHECKING:
    from rgacli.api.gt_bins import GtBinsResult

app = typer.Typer(help="Look inside: figures and tables of the paper, for your own data.", no_args_is_help=True)

OutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the figure and its CSV. Default: RUN/figures/SPLIT; figures/SPLIT for several runs, figures/ "
        "for --results.",
        show_default=False,
    ),
]


@app.command("gt-bins", cls=Command)
def gt_bins(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs' names or directories. Default: the latest run.", show_default=False),
    ] = None,
    results: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Bin any detector's COCO results file, with no model and no torch. Repeatable; needs --annotations.",
        ),
    ] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO annotations that --results were made for.")] = None,
    bins: BinsOption = None,
    max_dets: MaxDetsOption = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: Annotated[int, typer.Option(min=0, help="Bootstrap samples behind the 95 % intervals; 0: none.")] = 200,
    out: OutOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure AP per ground-truth-count bin, for every head and the ensemble (the paper's Fig. 2).

    Images are grouped by their number of non-crowd objects; those with none form no bin. Several runs are compared
    side by side. Detections that eval left are used where they are of the same checkpoint.
    """
    from rgacli.api import gt_bins as api

    with live_progress() as progress:
        result = api.gt_bins(
            runs,
            results=results,
            annotations=annotations,
            bins=bins,
            max_dets=max_dets,
            which=which,
            checkpoint=checkpoint,
            config=config,
            data=data,
            split=split,
            bootstrap=bootstrap,
            out=out,
            device=device,
            progress=progress,
        )
    if json:
        print_json(asdict(result))
    else:
        _print_gt_bins(result, intervals=bool(bootstrap))


def _print_gt_bins(result: GtBinsResult, *, intervals: bool) -> None:
    """Print a table for each run."""
    by_run: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in result.rows:
        interval = None if isnan(row.AP_low) else f"{row.AP_low:.2f}–{row.AP_high:.2f}"
        by_run[row.run].append({**asdict(row), "head": row.head, "interval": interval})
    columns = ("head", "bin", "images", "objects", "AP", *(["interval"] if intervals else []), "AP50", "AP75")
    headings = {column: column for column in columns} | ({"interval": "95 %"} if intervals else {})
    for run, rows in by_run.items():
        title = "AP per ground-truth-count bin" + (f": {run}" if run else "") + f"; {counted(result.max_dets)}"
        print_table(title, headings, rows, group="head")


@app.command("proposals", cls=Command)
def proposals(
    run: RunArgument = None,
    bins: BinsOption = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    out: OutOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Count positive proposals of the trained RPN by the number of objects in the image (the paper's Fig. 1b).

    A proposal is positive if its IoU with any object is at least 0.5; counted among those the RPN passes on.
    """
    from rgacli.api import proposals as api

    with live_progress() as progress:
        result = api.proposals(
            run,
            bins=bins,
            which=which,
            checkpoint=checkpoint,
            config=config,
            data=data,
            split=split,
            out=out,
            device=device,
            progress=progress,
        )
    if json:
        print_json(asdict(result))
    else:
        rows = list(map(asdict, result.rows))
        headings = {key: key for key in rows[0]} | {"lower_quartile": "25 %", "upper_quartile": "75 %"}
        print_table(f"positive proposals per image: {result.run} on {result.split}", headings, rows)
