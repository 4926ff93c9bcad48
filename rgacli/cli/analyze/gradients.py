"""`rgacli analyze gradients`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rgacli.cli.analyze.options import RunsArgument, StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import (
    CheckpointOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    SplitOption,
    WhichOption,
)
from rgacli.cli.progress import live_progress


def gradients(
    runs: RunsArgument = None,
    measure: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="IMAGES",
            help="Measure now, at a checkpoint, on so many images (64 will do). The options of checkpoint, split, seed "
            "and device go with it. Default: show what the training logged by --probe-gradients.",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Weight of the backbone to measure at. Default: the paper's layer4.0.conv1, or in a backbone without "
            "it the first of its last stage.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of batches, augmentation and sampling.")] = 0,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "train",
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder of the figure and its CSV. Default: RUN/figures, of several runs figures/; with --measure, "
            "SPLIT/ in there.",
            show_default=False,
        ),
    ] = None,
    style: StyleOption = "screen",
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Compare what each R-CNN head sends into the shared backbone (the paper's Fig. 5).

    Norms of the heads' gradients at one weight, the norm of their sum, the sum of their norms and the angle between
    them; with a mask head the same of box and mask branch. Two heads of one ratio differ as well, by the RoIs that they
    draw: a run with --ratios 1:1,1:1 shows how much.
    """
    from rgacli.api import gradients as api

    with live_progress() as progress:
        found = api.gradients(
            runs,
            measure=measure,
            weight=weight,
            seed=seed,
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
