"""`rgacli analyze errors`."""

from __future__ import annotations

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
    MaxDetsOption,
    SplitOption,
    WhichOption,
)
from rgacli.cli.progress import live_progress


def errors(
    runs: RunsArgument = None,
    results: ResultsOption = None,
    annotations: AnnotationsOption = None,
    bins: BinsOption = None,
    score: ScoreOption = 0.3,
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
    """Tell errors apart as TIDE does, for every head and the ensemble, per bin: what a ratio trades for what.

    Cls: wrong class; Loc: badly located; Both; Dupe: found twice; Bkg: background; Miss: missed. Of each kind it is
    told what mending it would gain in AP50, by all detections, and how many there are per 100 objects.
    """
    from rgacli.api import error_types as api

    with live_progress() as progress:
        found = api.error_types(
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
            out=out,
            style=style,
            device=device,
            progress=progress,
        )
    print_analysis(found, json=json)
