"""`rgacli eval`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rgacli.cli import launch
from rgacli.cli.options import (
    CheckpointOption,
    ConfigOption,
    DataOption,
    JsonOption,
    MaxDetsOption,
    RunArgument,
    SafeOption,
    TileOverlapOption,
    TilesOption,
    WhichOption,
)
from rgacli.cli.output import counted, print_json, print_table
from rgacli.cli.progress import live_progress

if TYPE_CHECKING:
    from rgacli.evaluation.classwise import ClassMetrics

app = typer.Typer()

HeadOption = Annotated[
    str, typer.Option(help="Which to show: 'ensemble', 'all', a head's ratio (1:9) or its index (0 is the first).")
]
EvalSplitOption = Annotated[
    Literal["train", "val", "test", "test-dev"],
    typer.Option(
        help="Which part of the dataset; one without 'test' is evaluated on 'val' in its place. 'test-dev' are "
        "COCO's images whose annotations are not public, for --submit.",
    ),
]
SubmitOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        dir_okay=False,
        help="Write the detections of --head to FILE, in the format of COCO's server, and evaluate nothing.",
        show_default=False,
    ),
]
TtaOption = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Look at each image at 3 sizes, each flipped as well, and merge what is found (test-time augmentation); "
        "by the config's own tta_pipeline and tta_model if it has them. 6 times the work.",
    ),
]

_PANEL = "Closer looks"
PerClassOption = Annotated[
    bool, typer.Option("--per-class", rich_help_panel=_PANEL, help="Show COCO's AP and AP50 of each class as well.")
]
PlotsOption = Annotated[
    bool,
    typer.Option(
        "--plots",
        rich_help_panel=_PANEL,
        help="Draw PR curves and a confusion matrix of each head that is shown, into RUN/figures/SPLIT/.",
    ),
]
ShowDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        rich_help_panel=_PANEL,
        help="Draw images into DIR: what was found, by each head that is shown, beside the ground truth.",
        show_default=False,
    ),
]
ShowCountOption = Annotated[
    int,
    typer.Option(min=1, rich_help_panel=_PANEL, help="How many images --show-dir draws, spread evenly over the split."),
]
ScoreOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        rich_help_panel=_PANEL,
        help="The least score that --show-dir draws and the confusion matrix counts; AP takes all.",
    ),
]


@app.command(cls=launch.LaunchedCommand)
def eval(
    context: typer.Context,
    run: RunArgument = None,
    head: HeadOption = "ensemble",
    which: WhichOption = "last",
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: EvalSplitOption = "test",
    submit: SubmitOption = None,
    max_dets: MaxDetsOption = None,
    tta: TtaOption = False,
    tiles: TilesOption = None,
    tile_overlap: TileOverlapOption = 0.2,
    per_class: PerClassOption = False,
    plots: PlotsOption = False,
    show_dir: ShowDirOption = None,
    show_count: ShowCountOption = 50,
    score: ScoreOption = 0.3,
    safe: SafeOption = False,
    gpus: launch.GpusOption = 1,
    nnodes: launch.NnodesOption = 1,
    node_rank: launch.NodeRankOption = 0,
    rdzv_endpoint: launch.RdzvEndpointOption = None,
    launcher: launch.LauncherOption = "none",
    device: launch.DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure COCO AP of a trained detector: its ensemble, one R-CNN head, or all; of boxes and, if any, masks.

    On CrowdHuman: mMR (log-average miss rate, the less the better), AP50 and JI (Jaccard index), as it defines them.

    One forward pass yields every head and the ensemble; the detections of each are saved as COCO results under
    RUN/detections/SPLIT/. `rgacli eval CONFIG CHECKPOINT.pth`, as mmdet's tools/test.py has it, is understood.
    """
    if launch.run_in_processes(
        context,
        gpus=gpus,
        nnodes=nnodes,
        node_rank=node_rank,
        rdzv_endpoint=rdzv_endpoint,
        launcher=launcher,
        device=device,
    ):
        return

    from rgacli.api.evaluate import Submission, evaluate

    with live_progress() as progress:
        result = evaluate(
            run,
            head=head,
            which=which,
            checkpoint=checkpoint,
            config=config,
            data=data,
            split=split,
            submit=submit,
            max_dets=max_dets,
            tta=tta,
            tiles=tiles,
            tile_overlap=tile_overlap,
            per_class=per_class,
            plots=plots,
            show_dir=show_dir,
            show_count=show_count,
            score=score,
            safe=safe,
            device=device,
            progress=progress,
        )
    if json:
        print_json(asdict(result))
    elif not isinstance(result, Submission):
        rows = [row for name, metrics in result.heads.items() for row in _rows(name, metrics)]
        on = f"{result.run} on {result.split}" + (f", {result.views}" if result.views else "")
        print_table(f"{on}: {counted(result.max_dets)}", {key: key for key in rows[0]}, rows)
        if per_class:
            _print_classes(f"{on}, by class", result.classes)


def _print_classes(title: str, classes: Sequence[ClassMetrics]) -> None:
    """Print a line per class and, of several, head."""
    columns = {key: key for key in ("class", "images", "objects", "head", "AP", "AP50")}
    rows = [
        {"class": one.name, "images": one.images, "objects": one.objects, **row}
        for one in classes
        for name, metrics in one.heads.items()
        for row in _rows(name, metrics)
    ]
    several = len(rows) > len(classes)
    if not several:
        del columns["head"]
    print_table(title, columns, rows, group="class" if several else None)


def _rows(name: str, metrics: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Return a line of the table for a head's boxes, and one for its masks, in the same columns."""
    masks = {key.removeprefix("mask_"): value for key, value in metrics.items() if key.startswith("mask_")}
    yield {"head": name, **{key: value for key, value in metrics.items() if not key.startswith("mask_")}}
    if masks:
        yield {"head": f"{name}, masks", **masks}
