"""`rgacli predict`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    SafeOption,
    TileOverlapOption,
    TilesOption,
    WhichOption,
)
from rgacli.cli.output import print_json, print_table
from rgacli.cli.progress import live_progress
from rgacli.errors import RunFailed

app = typer.Typer()


@app.command(cls=Command)
def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Images, folders of images (at any depth), globs in quotes, and videos."
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(
            help="A run's name or directory, or a folder written by `rgacli export`. Default: the latest run.",
            show_default=False,
        ),
    ] = None,
    which: WhichOption = "last",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Weights to use in a run's place, which need --config unless they lie in their run or export; or an "
            "ONNX file by `rgacli export onnx`. What is made of FILE.pth goes to FILE.rgacli/.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder to write into. Default: RUN/predictions/TIME.", show_default=False),
    ] = None,
    head: Annotated[
        str,
        typer.Option(
            help="Whose detections: 'ensemble', a head's ratio (1:9) or its index (0 is the first); 'all' for each "
            "of them, in a folder of its own."
        ),
    ] = "ensemble",
    score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out detections below this score, in pictures and results.")
    ] = 0.3,
    max_dets: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Detections of an image that the detector can give: its limits are raised to it, not lowered. "
            "Default: as it was trained.",
            show_default=False,
        ),
    ] = None,
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side",
            help="Draw a panel for each head and the ensemble, whatever --head: what not all of them found stands out.",
        ),
    ] = False,
    tiles: TilesOption = None,
    tile_overlap: TileOverlapOption = 0.2,
    batch_size: Annotated[int, typer.Option(min=1, help="Images, or tiles, that go through the detector at once.")] = 4,
    safe: SafeOption = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Detect objects on images and videos of your own: annotated pictures, and the detections as COCO JSON.

    Pictures keep their names, and videos lose their sound; predictions.json lists images, categories (numbered from 1)
    and detections. What cannot be read is skipped and named; the exit code is then 1, or 2 if nothing could be read.
    """
    from rgacli.api.predict import predict

    with live_progress() as progress:
        result = predict(
            inputs,
            run=run,
            which=which,
            checkpoint=checkpoint,
            config=config,
            out=out,
            head=head,
            score=score,
            max_dets=max_dets,
            side_by_side=side_by_side,
            tiles=tiles,
            tile_overlap=tile_overlap,
            batch_size=batch_size,
            safe=safe,
            device=device,
            progress=progress,
        )
    if json:
        print_json(asdict(result))
    else:
        counts = result.detections
        rows = [
            {"class": name, **{head: found.get(name, 0) for head, found in counts.items()}}
            for name in result.classes
            if any(name in found for found in counts.values())
        ]
        images = f"{result.images} image{'s' * (result.images != 1)}"
        title = f"{result.run}: objects found on {images}, score at least {score:g}"
        if rows:
            print_table(title, {"class": "class", **{head: head for head in counts}}, rows)
        else:
            typer.echo(f"{title}: none; --score takes less")
    if result.skipped:
        raise RunFailed(f"{len(result.skipped)} of {result.inputs} inputs could not be read and were skipped.")
