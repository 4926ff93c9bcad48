"""`rgacli analyze calibration`."""

from __future__ import annotations

from rgacli.cli.analyze.options import (
    AnnotationsOption,
    OutOption,
    ResultsOption,
    RunsArgument,
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
    MaxDetsOption,
    SplitOption,
    WhichOption,
)
from rgacli.cli.progress import live_progress


def calibration(
    runs: RunsArgument = None,
    results: ResultsOption = None,
    annotations: AnnotationsOption = None,
    bins: BinsOption = None,
    max_dets: MaxDetsOption = None,
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
    """Compare scores with the share of detections that is right, for every head and the ensemble, per bin.

    Draws reliability diagrams and the bias, mean score minus the share that is right (at IoU 0.5): what "biased toward
    positives" is in numbers. Only detections that are kept count: those the config's score_thr and NMS leave.
    """
    from rgacli.api import calibration as api

    with live_progress() as progress:
        found = api.calibration(
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
            out=out,
            style=style,
            device=device,
            progress=progress,
        )
    print_analysis(found, json=json)
