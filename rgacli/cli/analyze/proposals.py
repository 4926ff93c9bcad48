"""`rgacli analyze proposals`."""

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
)
from rgacli.cli.progress import live_progress


def proposals(
    runs: RunsArgument = None,
    bins: BinsOption = None,
    which: Annotated[
        str,
        typer.Option(
            metavar="best|last|EPOCH|…,…|all",
            help="Which of the run's checkpoints: the best by validation, the last, or an epoch's; several to see how "
            "it changes through the training, such as 2,6,last (the last named stands for the run), or all that were "
            "kept. 'initial' is what the training started from.",
        ),
    ] = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    out: OutOption = None,
    style: StyleOption = "screen",
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Count positive proposals of the trained RPN by the number of objects in the image (the paper's Fig. 1b).

    A proposal is positive if its IoU with any object is at least 0.5; counted among those the RPN passes on. Several
    runs are overlaid; several checkpoints are followed on the same images.
    """
    from rgacli.api import proposals as api

    with live_progress() as progress:
        found = api.proposals(
            runs,
            bins=bins,
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
    print_analysis(found, json=json)
