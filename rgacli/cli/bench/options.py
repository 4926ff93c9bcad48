"""Options that benchmarks share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="CONFIG",
        help="A Faster R-CNN: a bundled name, mmdet::… or a file. Default: --weights' own, else ResNet-50 with FPN.",
        show_default=False,
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|FILE|random",
        help="What all contestants detect with. Default: weights that are trained on small drawn images, once (minutes "
        "on a CPU), and kept in the cache.",
        show_default=False,
    ),
]
ContestantsOption = Annotated[
    str | None,
    typer.Option(help="Some of k1, k2, k5, stock, torchvision. Default: all.", show_default=False),
]
BatchOption = Annotated[int, typer.Option(min=1, help="Images in a step.")]
SizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Height and width of an image, px. Default: 800x1333 on a GPU, 480x640 on a CPU.",
        show_default=False,
    ),
]
RepeatsOption = Annotated[int, typer.Option(min=1, help="Rounds that count; in each, all take their turn.")]
WarmUpOption = Annotated[int, typer.Option(min=0, help="Rounds before them that do not count.")]
CountsOption = Annotated[
    str,
    typer.Option(help="Numbers of images at which operations and synchronisations are counted; '' for none."),
]
AmpOption = Annotated[bool, typer.Option("--amp", help="Use automatic mixed precision.")]
AmpDtypeOption = Annotated[
    Literal["fp16", "bf16"] | None,
    typer.Option(help="Its precision; implies --amp. Default: fp16.", show_default=False),
]
CompileOption = Annotated[
    bool, typer.Option("--compile", help="Compile the backbone and neck of k1, k2 and k5, as `train --compile` does.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads of torch on the CPU. Default: its own choice.", show_default=False)
]
ImagesOption = Annotated[int, typer.Option(min=1, help="Images of the made-up detections, 100 each.")]
SamplesOption = Annotated[int, typer.Option(min=1, help="Bootstrap samples for the interval of each bin.")]
ReferenceSamplesOption = Annotated[
    int,
    typer.Option(min=1, help="How many of them are timed with the other libraries; the rest is extrapolated."),
]
SaveOption = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="Write the record to this file, as JSON.", show_default=False),
]
