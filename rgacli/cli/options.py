"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

SplitName = Literal["train", "val", "test"]
Device = Literal["auto", "cpu", "cuda"]

RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's name or directory. Default: the latest run.", show_default=False),
]
WhichOption = Annotated[
    str,
    typer.Option(
        metavar="best|last|EPOCH",
        help="Which of the run's checkpoints: the best by validation, the last, or an epoch's.",
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        help="Weights to use in a run's place; needs --config unless they lie in their run or export. What is made "
        "of FILE.pth goes to FILE.rgacli/.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(help="Config of --checkpoint: a bundled name, mmdet::… or a file.", show_default=False),
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Another dataset's folder. Default: the one trained on.", show_default=False),
]
SplitOption = Annotated[
    SplitName,
    typer.Option(help="Which part of the dataset; a dataset without 'test' is evaluated on 'val' in its place."),
]
BinsOption = Annotated[
    str | None,
    typer.Option(
        help="Bins of the number of objects in an image (the paper's Fig. 2: 1-3 and 8+). Gaps are fine. "
        "Default: 1-3,4-7,8+; on CrowdHuman, 1-10,11-20,21-40,41+.",
        show_default=False,
    ),
]
DeviceOption = Annotated[Device, typer.Option(help="Where to run; 'auto' takes CUDA where there is one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
