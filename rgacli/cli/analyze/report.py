"""`rgacli analyze report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rgacli.cli.analyze.options import RunsArgument
from rgacli.cli.options import (
    BinsOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MaxDetsOption,
    SplitOption,
    WhichOption,
)
from rgacli.cli.output import print_json
from rgacli.cli.progress import live_progress


def report(
    runs: RunsArgument = None,
    bins: BinsOption = None,
    max_dets: MaxDetsOption = None,
    which: WhichOption = "last",
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: Annotated[int, typer.Option(min=2, help="Bootstrap samples behind the 95 % intervals.")] = 200,
    images: Annotated[int, typer.Option(min=0, help="Images on the page at most, each about 30 kB; 0: none.")] = 60,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder of the page and the figures. Default: RUN/figures/SPLIT; figures/SPLIT for several runs.",
            show_default=False,
        ),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Put all analyses on one HTML page: five sentences with numbers, figures, and the images behind them.

    Of several runs the first is what it is about and the second what it is compared with. The page needs no network; a
    click on a number of errors opens its images, worst first, with each head's boxes beside the ground truth. The first
    run at a glance, in one picture and up to three sentences, is printed last.
    """
    from rgacli.api import report as api

    with live_progress() as progress:
        found = api.report(
            runs,
            bins=bins,
            max_dets=max_dets,
            which=which,
            data=data,
            split=split,
            bootstrap=bootstrap,
            images=images,
            out=out,
            open=open,
            device=device,
            progress=progress,
        )
    glance = found.at_a_glance
    shown = glance.finding.sentences if glance else []
    if json:
        about = {"report": found.path, "answers": found.answers, "lacking": found.lacking, "images": found.images}
        figures = {name: analysis.figure for name, analysis in found.analyses.items()}
        print_json({**about, "at_a_glance": shown, "figures": figures})
        return
    for number, answer in enumerate(found.answers, start=1):
        typer.echo(f"{number}. {answer}")
    if glance:
        typer.echo(f"\nAt a glance, {glance.figure}:")
    for each in shown:
        typer.echo(f"- {each}")
