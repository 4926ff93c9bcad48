"""Options that the subcommands of `rgacli analyze` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Runs' names or directories. Default: the latest run.", show_default=False),
]
ResultsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="Look at any detector's COCO results file, with no model and no torch. Repeatable; needs --annotations.",
    ),
]
AnnotationsOption = Annotated[Path | None, typer.Option(help="COCO annotations that --results were made for.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the figure and its CSV. Default: RUN/figures/SPLIT; figures/SPLIT for several runs, figures/ "
        "for --results.",
        show_default=False,
    ),
]
LoggedOutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the figure and its CSV. Default: RUN/figures; figures/ for several runs.",
        show_default=False,
    ),
]
ScoreOption = Annotated[float, typer.Option(min=0, max=1, help="The least score of the detections that are counted.")]
StyleOption = Annotated[
    Literal["screen", "paper", "slide", "dark"],
    typer.Option(
        help="What the figure is to be looked at on: a screen, two columns of a paper (with a PDF in the SVG's place), "
        "a slide, or a dark screen."
    ),
]
