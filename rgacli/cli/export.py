"""`rgacli export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import CheckpointOption, ConfigOption, JsonOption, RunArgument, WhichOption
from rgacli.cli.output import print_json
from rgacli.cli.progress import live_progress

app = typer.Typer(
    name="export",
    help="Hand a trained detector on: as a stock mmdet model or an ONNX file, which take none of rgacli to run.",
    no_args_is_help=True,
)

CheckOption = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="IMAGES",
        help="Compare the detections of what was written with the run's own on so many of the test split's images: "
        "the command fails where they differ by more than rounding does.",
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False, help="Folder to write into. Default: RUN/export/fold or RUN/export/HEAD.", show_default=False
    ),
]


@app.command(cls=Command)
def fold(
    run: RunArgument = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    out: FolderOption = None,
    check: CheckOption = 8,
    json: JsonOption = False,
) -> None:
    """Fold all heads into one that detects as their average ensemble does, exactly (to rounding).

    K heads of fully connected layers become one head K times as wide, at every stage of a cascade. Heads with
    convolutions or norms do not fold.
    """
    from rgacli.api.export import export_fold

    with live_progress() as progress:
        result = export_fold(
            run, which=which, checkpoint=checkpoint, config=config, out=out, check=check, progress=progress
        )
    if json:
        print_json(asdict(result))


@app.command(cls=Command)
def head(
    head: Annotated[str, typer.Option(help="The head: its ratio (1:9) or its index (0 is the first).")],
    run: RunArgument = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    out: FolderOption = None,
    check: CheckOption = 8,
    json: JsonOption = False,
) -> None:
    """Take one head alone, as a stock detector of the size of the baseline."""
    from rgacli.api.export import export_head

    with live_progress() as progress:
        result = export_head(
            run, head=head, which=which, checkpoint=checkpoint, config=config, out=out, check=check, progress=progress
        )
    if json:
        print_json(asdict(result))


@app.command(cls=Command)
def onnx(
    run: RunArgument = None,
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    head: Annotated[
        str, typer.Option(help="'ensemble': all heads, folded into one; or a head's ratio (1:9) or its index.")
    ] = "ensemble",
    out: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="File to write. Default: RUN/export/fold.onnx or RUN/export/HEAD.onnx.",
            show_default=False,
        ),
    ] = None,
    check: CheckOption = 8,
    json: JsonOption = False,
) -> None:
    """Write an ONNX file that takes batches of images of any size and gives detections after NMS, with masks if any.

    Of Faster, Cascade and Mask R-CNN, with parallel heads or plain. --check compares image by image, in batches of
    three, and in batches of mixed sizes. `rgacli predict` and rgacli.load take the file. Needs the packages onnx and
    onnxruntime.
    """
    from rgacli.api.export import export_onnx

    with live_progress() as progress:
        result = export_onnx(
            run, head=head, which=which, checkpoint=checkpoint, config=config, out=out, check=check, progress=progress
        )
    if json:
        print_json(asdict(result))
