"""`rgacli ensemble`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import (
    BinsOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MaxDetsOption,
    SplitName,
    SplitOption,
    WhichOption,
)
from rgacli.cli.output import counted, print_json, print_table
from rgacli.cli.progress import live_progress
from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS

if TYPE_CHECKING:
    from rgacli.api.ensemble import EnsembleResult, MethodRow

app = typer.Typer()

MethodChoice = Enum("MethodChoice", {name: name for name in ENSEMBLING_METHODS})  # Typer takes no list of literals

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN",
        help="A run's name or directory, whose heads are combined (default: the latest run); or several, which are "
        "combined as separate detectors.",
        show_default=False,
    ),
]
MethodOption = Annotated[
    list[MethodChoice] | None,
    typer.Option(help="A way of combining. Repeatable. Default: all that can be had.", show_default=False),
]
ResultsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="Combine COCO results files of any framework, with scores in [0, 1]. Repeatable; needs --annotations.",
        show_default=False,
    ),
]
AnnotationsOption = Annotated[
    Path | None, typer.Option(help="COCO annotations that --results were made for.", show_default=False)
]
CalibrateOption = Annotated[
    SplitName | None,
    typer.Option(
        help="The split that dispatch is calibrated on. Default: val, or train where val is evaluated and train has "
        "no more than 5000 images.",
        show_default=False,
    ),
]
CheckpointsOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Weights to use in a run's place; needs --config unless they lie in their run or export. Repeatable. "
        "What is made of FILE.pth goes to FILE.rgacli/.",
        show_default=False,
    ),
]
ConfigsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Config of each --checkpoint, in their order, or one of all: a bundled name, mmdet::… or a file.",
        show_default=False,
    ),
]
BootstrapOption = Annotated[int, typer.Option(min=2, help="Bootstrap samples of images behind each interval.")]
TimedOption = Annotated[int, typer.Option(min=0, help="Images to time each method on; 0: none.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the figure and its CSV, and of the detections made of several runs or --results. Default: "
        "RUN/figures/SPLIT; of several, ensembles/A+B.",
        show_default=False,
    ),
]


@app.command(cls=Command)
def ensemble(
    runs: RunsArgument = None,
    method: MethodOption = None,
    results: ResultsOption = None,
    annotations: AnnotationsOption = None,
    bins: BinsOption = None,
    max_dets: MaxDetsOption = None,
    calibrate: CalibrateOption = None,
    which: WhichOption = "last",
    checkpoint: CheckpointsOption = None,
    config: ConfigsOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: BootstrapOption = 200,
    timed: TimedOption = 20,
    out: OutOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure which way of combining heads is best, on which images, and at what cost.

    ensemble is the paper's (Sec. 3.2): the average of logits before softmax, with the boxes of the head with the most
    positives. average-probs averages probabilities; average-boxes decoded boxes, too. joint-nms mixes detections, then
    NMS. wbf is weighted boxes fusion. dispatch weighs the heads by the number of objects that an image seems to have,
    calibrated on another split. oracle takes the head that is best for the true number: the headroom, as it looks at
    the annotations.

    Of several runs, the first one's RPN feeds the R-CNN modules of all for the averages. The detections of each method
    are saved as COCO results beside the heads'.
    """
    from rgacli.api import ensemble as api

    with live_progress() as progress:
        result = api.ensemble(
            runs,
            method=[choice.value for choice in method or ()],
            results=results,
            annotations=annotations,
            bins=bins,
            max_dets=max_dets,
            calibrate=calibrate,
            which=which,
            checkpoint=checkpoint,
            config=config,
            data=data,
            split=split,
            bootstrap=bootstrap,
            timed=timed,
            out=out,
            device=device,
            progress=progress,
        )
    if json:
        print_json(_as_json(result))
    else:
        _print(result)


def _as_json(result: EnsembleResult) -> dict[str, Any]:
    found = {key: value for key, value in asdict(result).items() if value is not None}
    found["heads"] = [{"head": row["name"], **row} for row in found.pop("members")]
    if "oracle" in found:
        found["oracle"] = {"uses_annotations": True, "chosen": found["oracle"]}
    return found


def _print(result: EnsembleResult) -> None:
    rows = [*result.members, *result.methods]
    columns = {key: key for key in ("AP", "AP50", "AP75", *result.images)}
    print_table(
        f"{result.run} on {result.split}: AP, and AP on images of so many objects; {counted(result.max_dets)}",
        {"name": "", **columns},
        [{**asdict(row), **row.bins} for row in rows],
    )
    print(f"images: {', '.join(f'{number} of {label} objects' for label, number in result.images.items())}")
    headings = {"name": "", "gained": "gain"}
    headings |= {"parameters": "parameters"} if any(row.parameters for row in rows) else {}
    headings |= {"added": "added ms"} if result.timing else {}
    print_table(f"what each gains over {result.reference} (AP ± 95 %), and costs", headings, list(map(_costing, rows)))
    if result.reference == ENSEMBLE:
        gains = [f"{row.gain:+.3f}{_half(row)} over {row.name}" for row in result.members]
        print(f"the ensemble gains {', '.join(gains)}")
    if timing := result.timing:
        print(
            f"time: median over {timing.images} images, on {timing.device}; a single one takes "
            f"{1000 * timing.single_seconds:.1f} ms an image in all"
        )
    if found := result.dispatch:
        print(
            f"dispatch: calibrated on {found.calibrated_on}; detections of {found.threshold:g} or more "
            f"count as objects (off by {found.count_error:.1f} an image); {_listed(found.variants)}"
            " (a tilt above 0 weighs heads trained with more positives higher, one below 0 those with fewer)"
        )
    if result.oracle:
        print(
            "oracle looks at the annotations that it is measured by, so it is no method but the headroom; "
            f"{_listed(result.oracle)}"
        )


def _costing(row: MethodRow) -> dict[str, str | None]:
    """Return a line of the table of gains and costs."""
    return {
        "name": row.name,
        "gained": None if row.difference is None else f"{row.difference:+.3f}{_half(row)}",
        "parameters": None if row.parameters is None else f"{row.parameters / 1e6:.2f} M",
        "added": None if row.added_seconds is None else f"{1000 * row.added_seconds:+.1f}",
    }


def _half(row: MethodRow) -> str:
    half = row.difference_high - row.difference
    return "" if isnan(half) else f" ± {half:.3f}"  # NaN on a single image


def _listed(taken: Mapping[str, str]) -> str:
    return ", ".join(f"{label}: {name}" for label, name in taken.items())
