"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

LAYOUTS = (
    "COCO's layout, annotations/{train,val,test}.json with images/, Roboflow's COCO export, YOLO (data.yaml), "
    "Pascal VOC, or one COCO file with its images"
)
"""What --data may name, for help texts."""
SPLIT_BY_HELP = (
    "Divide a dataset that has no splits, by shares of train:val:test or train:val, such as 80:10:10; stratified by "
    "number of objects and by class, and the same each time."
)

SplitName = Literal["train", "val", "test"]
Device = Literal["auto", "cpu", "cuda", "mps"]

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
    typer.Option(help=f"Another dataset: {LAYOUTS}. Default: the one trained on.", show_default=False),
]
SplitOption = Annotated[
    SplitName,
    typer.Option(help="Which part of the dataset; a dataset without 'test' is evaluated on 'val' in its place."),
]
SplitByOption = Annotated[
    str | None, typer.Option(metavar="SHARES", help=SPLIT_BY_HELP + " Default: as it is.", show_default=False)
]
BinsOption = Annotated[
    str | None,
    typer.Option(
        help="Bins of the number of objects in an image (the paper's Fig. 2: 1-3 and 8+). Gaps are fine. "
        "Default: 1-3,4-7,8+; on CrowdHuman, 1-10,11-20,21-40,41+.",
        show_default=False,
    ),
]
MaxDetsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Detections of an image that count, those of the highest scores; the detector's own limits are raised to "
        "it. Default: the benchmark's own number (COCO 100, CrowdHuman 500) or, where an image has more objects, the "
        "next hundred above the densest.",
        show_default=False,
    ),
]
DEVICE_HELP = "Where to run; 'auto' takes CUDA where there is one. 'mps', the GPU of a Mac, is untested."
DeviceOption = Annotated[Device, typer.Option(help=DEVICE_HELP)]
TilesOption = Annotated[
    int | None,
    typer.Option(
        min=32,
        metavar="PX",
        help="Cut images that are larger into tiles of this side, detect on each and on the whole, and merge: for "
        "small objects in large images. Needs sahi (pip install sahi).",
        show_default=False,
    ),
]
TileOverlapOption = Annotated[
    float,
    typer.Option(
        min=0, max=0.9, help="Overlap of neighbouring tiles, as a share of their side: as large as most objects."
    ),
]
SafeOption = Annotated[
    bool,
    typer.Option(
        "--safe",
        help="Run nothing of the config, which is Python: it is read as one of literals, as `rgacli train` writes it "
        "into a run, and refused if it says more. For detectors of somebody else's. A checkpoint runs no code in any "
        "case.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
