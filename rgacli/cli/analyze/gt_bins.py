"""`rgacli analyze gt-bins`."""

from __future__ import annotations

from typing import Annotated

import typer

from rgacli.cli.analyze.options import AnnotationsOption, OutOption, ResultsOption, RunsArgument, StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import (
    BinsOption,
    CheckpointOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MaxDetsOption,
    SplitOption,
    WhichOption,
)
from rgacli.cli.output import counted
from rgacli.cli.progress import live_progress


def gt_bins(
    runs: RunsArgument = None,
    results: ResultsOption = None,
    annotations: AnnotationsOption = None,
    bins: BinsOption = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help='What all others are compared with on the same images: a head ("1:3", of several runs "RUN 1:3"), a '
            "name of --results, or a RUN, which means its ensemble or only head. Default: the first run's ensemble or, "
            "where it has none, what is named first.",
            show_default=False,
        ),
    ] = None,
    max_dets: MaxDetsOption = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: Annotated[int, typer.Option(min=0, help="Bootstrap samples behind the 95 % intervals; 0: none.")] = 200,
    out: OutOption = None,
    style: StyleOption = "screen",
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure AP per ground-truth-count bin, for every head and the ensemble (the paper's Fig. 2).

    Images are grouped by their number of non-crowd objects; those with none form no bin. AP is drawn over the ratio in
    training: the heads of a run are a line, and so are runs of a single head that differ in their ratio alone.
    Detections that eval left are used where they are of the same checkpoint.
    """
    from rgacli.api import gt_bins as api

    with live_progress() as progress:
        found = api.gt_bins(
            runs,
            results=results,
            annotations=annotations,
            bins=bins,
            baseline=baseline,
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
    print_analysis(found, json=json, note=f"; {counted(found.finding.max_dets)}")
