"""`rgacli analyze dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rgacli.cli.analyze.options import StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import LAYOUTS, JsonOption, SplitByOption, SplitName
from rgacli.cli.progress import live_progress


def dataset(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help=f"Dataset: {LAYOUTS}; of one COCO file (DIR may be it) the images need not be there. "
            "Default: the embedded dataset.",
        ),
    ] = None,
    split: Annotated[
        SplitName | None,
        typer.Option(help="Which part. Default: train or, where there is none, the first.", show_default=False),
    ] = None,
    split_by: SplitByOption = None,
    ratios: Annotated[
        str, typer.Option(help="Sampling ratios, positives:negatives, to choose from. Default: those of the paper.")
    ] = "1:1,1:3,1:5,1:7,1:9",
    config: Annotated[
        str | None,
        typer.Option(
            help="What is to be trained, as `rgacli train CONFIG`. Default: what that takes on this dataset.",
            show_default=False,
        ),
    ] = None,
    rois: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="RoIs of an image that are sampled for a head. Default: the config's; 512 in the paper.",
            show_default=False,
        ),
    ] = None,
    proposals: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Proposals of an image that the RPN passes on in training. Default: the config's; 1000 in the paper.",
            show_default=False,
        ),
    ] = None,
    positives_per_object: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Positives that an object yields late in training, the ground truth included. Default: "
            "1 + 0.38 √proposals, which is 13.0 of 1000; measured on three trainings: 5 to 8 of 200 and 300 proposals, "
            "9 to 17 of 1000. A run's own, less the ground truth: rgacli analyze proposals.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder of the figure and its CSV. Default: figures/DATASET/SPLIT.",
            show_default=False,
        ),
    ] = None,
    style: StyleOption = "screen",
    json: JsonOption = False,
) -> None:
    """Look at a dataset before any training: objects per image, sizes, classes, and sampling ratios to try.

    Only annotations are read. The ratios come from a rule of thumb: a head's quota of positives is worth something as
    far as images yield so many. Where it was tried it held in part: 1:1 gained on 1:9 with the number of objects, but
    was the better on images of few objects, too.
    """
    from rgacli.api.dataset import analyze_dataset

    with live_progress() as progress:
        found = analyze_dataset(
            folder,
            split=split,
            split_by=split_by,
            ratios=ratios,
            config=config,
            rois=rois,
            proposals=proposals,
            positives_per_object=positives_per_object,
            out=out,
            style=style,
            progress=progress,
        )
    print_analysis(found, json=json)
