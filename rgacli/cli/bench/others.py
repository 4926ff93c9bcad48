"""`rgacli bench eval`, `data` and `startup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rgacli.cli.bench.options import (
    BatchOption,
    ConfigOption,
    ImagesOption,
    ReferenceSamplesOption,
    RepeatsOption,
    SamplesOption,
    SaveOption,
    SizeOption,
)
from rgacli.cli.bench.output import print_benchmark
from rgacli.cli.options import LAYOUTS, JsonOption
from rgacli.cli.progress import live_progress


def eval(
    images: ImagesOption = 5000,
    samples: SamplesOption = 200,
    reference_samples: ReferenceSamplesOption = 3,
    bins: Annotated[
        str | None,
        typer.Option(help="Bins of the number of objects in an image. Default: 1-3,4-7,8+.", show_default=False),
    ] = None,
    save: SaveOption = None,
    json: JsonOption = False,
) -> None:
    """Time AP of two heads and their ensemble, in bins, with intervals, against pycocotools and faster-coco-eval.

    The detections are made up: 100 an image of 80 classes, objects as frequent as in COCO.
    """
    from rgacli.api.bench import bench_eval

    with live_progress() as progress:
        found = bench_eval(
            images=images,
            samples=samples,
            reference_samples=reference_samples,
            bins=bins,
            save=save,
            progress=progress,
        )
    print_benchmark(found, json=json)


def data(
    config: ConfigOption = None,
    data: Annotated[
        Path | None,
        typer.Option(help=f"A dataset: {LAYOUTS}. Default: the embedded dataset.", show_default=False),
    ] = None,
    batch: BatchOption = 2,
    size: SizeOption = None,
    workers: Annotated[str, typer.Option(help="Numbers of processes that load, 0 for none.")] = "0,2",
    batches: Annotated[int, typer.Option(min=1, help="Batches that are timed.")] = 20,
    save: SaveOption = None,
    json: JsonOption = False,
) -> None:
    """Time the training's dataloader."""
    from rgacli.api.bench import bench_data

    with live_progress() as progress:
        found = bench_data(
            config=config,
            data=data,
            batch=batch,
            size=size,
            workers=workers,
            batches=batches,
            save=save,
            progress=progress,
        )
    print_benchmark(found, json=json)


def startup(repeats: RepeatsOption = 5, save: SaveOption = None, json: JsonOption = False) -> None:
    """Time what you wait for before anything happens: the import, the help, and the list of runs."""
    from rgacli.api.bench import bench_startup

    with live_progress() as progress:
        found = bench_startup(repeats=repeats, save=save, progress=progress)
    print_benchmark(found, json=json)
