"""`rgacli analyze scores`."""

from __future__ import annotations

from typing import Annotated

import typer

from rgacli.cli.analyze.options import OutOption, RunsArgument, StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import (
    BinsOption,
    CheckpointOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    SplitOption,
    WhichOption,
)
from rgacli.cli.progress import live_progress


def scores(
    runs: RunsArgument = None,
    bins: BinsOption = None,
    min_score: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Count outputs (a box and a class) that any head scores so high; most boxes are background to all.",
        ),
    ] = 0.05,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    out: OutOption = None,
    style: StyleOption = "screen",
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Compare the scores that parallel heads give to the same boxes (the paper's Fig. 6).

    The boxes are the RPN's proposals (in a cascade, at later stages, those that the ensemble makes of them), before any
    NMS. Shown are how the heads' scores spread, and how far they are apart: the paper has 21.9 % differ by more than
    0.1.
    """
    from rgacli.api import scores as api

    with live_progress() as progress:
        found = api.scores(
            runs,
            bins=bins,
            min_score=min_score,
            which=which,
            checkpoint=checkpoint,
            config=config,
            data=data,
            split=split,
            out=out,
            style=style,
            device=device,
            progress=progress,
        )
    print_analysis(found, json=json, note=f"; outputs of at least {min_score:g}")
