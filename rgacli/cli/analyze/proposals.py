"""`rgacli analyze proposals`."""

from __future__ import annotations

from rgacli.cli.analyze.options import OutOption, StyleOption
from rgacli.cli.analyze.output import print_analysis
from rgacli.cli.options import (
    BinsOption,
    CheckpointOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    RunArgument,
    SplitOption,
    WhichOption,
)
from rgacli.cli.progress import live_progress


def proposals(
    run: RunArgument = None,
    bins: BinsOption = None,
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
    """Count positive proposals of the trained RPN by the number of objects in the image (the paper's Fig. 1b).

    A proposal is positive if its IoU with any object is at least 0.5; counted among those the RPN passes on.
    """
    from rgacli.api import proposals as api

    with live_progress() as progress:
        found = api.proposals(
            run,
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
