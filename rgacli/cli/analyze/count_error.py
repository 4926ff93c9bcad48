"""`rgacli analyze count-error`."""

from __future__ import annotations

from typing import Annotated

import typer

from rgacli.cli.analyze.options import (
    AnnotationsOption,
    OutOption,
    ResultsOption,
    RunsArgument,
    ScoreOption,
    StyleOption,
)
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


def count_error(
    runs: RunsArgument = None,
    results: ResultsOption = None,
    annotations: AnnotationsOption = None,
    bins: BinsOption = None,
    score: ScoreOption = 0.3,
    max_dets: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Detections of an image that can be counted, those of the highest scores; the detector's own limits "
            "are raised to it. Default: all that the detector finds, which may be as many as eval counts.",
            show_default=False,
        ),
    ] = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Bootstrap samples behind the 95 % intervals of right scores; 0: none.")
    ] = 200,
    out: OutOption = None,
    style: StyleOption = "screen",
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Count detections against objects, for every head and the ensemble, and find the score that is right, per bin.

    From the right score on there are as many detections as objects in a bin's images. All classes are counted together.
    One score does not suit all: see where it lies in crowded images and in others.
    """
    from rgacli.api import count_error as api

    with live_progress() as progress:
        found = api.count_error(
            runs,
            results=results,
            annotations=annotations,
            bins=bins,
            score=score,
            max_dets=max_dets,
            which=which,
            checkpoint=checkpoint,
            config=config,
            data=data,
            split=split,
            bootstrap=bootstrap,
            out=out,
            style=style,
            device=device,
            progress=progress,
        )
    print_analysis(found, json=json)
