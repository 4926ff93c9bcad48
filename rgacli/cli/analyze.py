"""`rgacli analyze`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import (
    BinsOption,
    CheckpointOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    RunArgument,
    SplitName,
    SplitOption,
)
from rgacli.cli.output import print_json, print_table, say
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from rgacli.evaluation.gt_bins import GTBin

app = typer.Typer(help="Look inside: figures and tables of the paper, for your own data.", no_args_is_help=True)

OutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the figure and its CSV. Default: RUN/figures/SPLIT; figures/SPLIT for several runs, figures/ "
        "for --results.",
        show_default=False,
    ),
]


@app.command("gt-bins", cls=Command)
def gt_bins(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs' names or directories. Default: the latest run.", show_default=False),
    ] = None,
    results: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Bin any detector's COCO results file, with no model and no torch. Repeatable; needs --annotations.",
        ),
    ] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO annotations that --results were made for.")] = None,
    bins: BinsOption = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: Annotated[int, typer.Option(min=0, help="Bootstrap samples behind the 95 % intervals; 0: none.")] = 200,
    out: OutOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """AP per ground-truth-count bin, for every head and the ensemble (the paper's Fig. 2).

    Images are grouped by their number of non-crowd objects; those with none form no bin. Several runs are compared
    side by side. Detections that eval left are used where they are of the run's last checkpoint.
    """
    from rgacli.evaluation.gt_bins import default_bins, parse_bins

    own_bins = None if bins is None else parse_bins(bins)
    if results:
        if runs or checkpoint or config or data or split != "test" or device != "auto":
            raise UsageError(
                "--results stand alone: leave out runs, --checkpoint, --config, --data, --split and --device."
            )
        truth, detections, figures = *read_results(results, annotations), Path("figures")
    elif annotations:
        raise UsageError("--annotations goes with --results NAME=FILE; a run's dataset is named by --data.")
    else:
        use_device(device)
        truth, detections, figures = _run_detections(runs or [None], checkpoint, config, data, split)

    from rgacli.analysis.figures import require_place
    from rgacli.analysis.gt_bins import collect, plot, split_name

    shown_bins = own_bins or default_bins(truth)
    figure = (out or figures) / "gt_bins.png"
    require_place(figure)
    with counted("comparing") as progress:
        rows = collect(truth, detections, shown_bins, bootstrap=bootstrap, progress=progress)
    plot(rows, figure)
    say(f"figure: {figure}; data: {figure.with_suffix('.csv')}")
    table = [row._asdict() for row in rows]
    if json:
        print_json({"bins": _text(shown_bins), "figure": str(figure), "rows": table})
        return
    by_run = defaultdict(list)
    for row in table:
        run, head = split_name(row["name"])
        interval = None if isnan(row["AP_low"]) else f"{row['AP_low']:.2f}–{row['AP_high']:.2f}"
        by_run[run].append({**row, "head": head, "interval": interval})
    columns = ("head", "bin", "images", "objects", "AP", *(["interval"] if bootstrap else []), "AP50", "AP75")
    headings = {column: column for column in columns} | ({"interval": "95 %"} if bootstrap else {})
    for run, found in by_run.items():
        print_table("AP per ground-truth-count bin" + (f": {run}" if run else ""), headings, found, group="head")


@app.command("proposals", cls=Command)
def proposals(
    run: RunArgument = None,
    bins: BinsOption = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    out: OutOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Positive proposals of the trained RPN against the number of objects in the image (the paper's Fig. 1b).

    A proposal is positive if its IoU with any object is at least 0.5; counted among those the RPN passes on.
    """
    from rgacli.evaluation.gt_bins import default_bins, parse_bins

    own_bins = None if bins is None else parse_bins(bins)
    use_device(device)
    target = find_target(run, checkpoint, config, data, split)

    from rgacli.analysis.figures import require_place
    from rgacli.analysis.proposals import plot, table
    from rgacli.config.recipe import require_rpn

    shown_bins = own_bins or default_bins(target.annotations)
    require_rpn(target.cfg)
    figure = (out or target.figures) / "proposals.png"
    require_place(figure)
    records = _proposal_records(target)
    rows = [dict(row) if isinstance(row, dict) else row._asdict() for row in table(records, shown_bins)]
    plot(records, shown_bins, figure)
    say(f"figure: {figure}; data: {figure.with_suffix('.csv')}")
    if json:
        about = {"run": target.name, "split": split, "bins": _text(shown_bins), "figure": str(figure)}
        print_json({**about, "rows": rows})
    else:
        headings = {key: key for key in rows[0]} | {"lower_quartile": "25 %", "upper_quartile": "75 %"}
        print_table(f"positive proposals per image: {target.name} on {split}", headings, rows)


def _text(bins: Sequence[GTBin]) -> str:
    """Bins as --bins takes them."""
    return ",".join(gt_bin.label for gt_bin in bins)


def read_results(
    results: Sequence[str], annotations: Path | None, *, probabilities: bool = False
) -> tuple[dict, dict[str, list[dict]]]:
    """Ground truth, and name -> detections, of --results and --annotations.

    Raises:
        UsageError, DataError: an option or a file is malformed; scores are to be probabilities and are not.
    """
    from rgacli.data.annotations import load_annotations
    from rgacli.evaluation.results import load_results

    if annotations is None:
        raise UsageError("--results needs --annotations FILE, the COCO annotations they were made for.")
    truth = load_annotations(annotations)
    found = {}
    for result in results:
        name, equals, file = result.partition("=")
        if not (name and equals and file):
            raise UsageError(f"--results {result} is not of the form NAME=FILE.")
        if name in found:
            raise UsageError(f"--results: the name {name} stands twice.")
        found[name] = load_results(Path(file), truth, probabilities=probabilities)
    return truth, found


def _run_detections(
    runs: list[str | None], checkpoint: Path | None, config: str | None, data: Path | None, split: SplitName
) -> tuple[dict, dict[str, list[dict]], Path]:
    """Ground truth, name -> detections of each run's variants, and the figures' folder.

    Raises:
        UsageError: a run stands twice, or the runs are evaluated on different annotations.
    """
    targets = [find_target(run, checkpoint, config, data, split) for run in runs]
    files = {str(Path(target.ann_file).resolve()) for target in targets}
    if len(files) > 1:
        raise UsageError(f"the runs' {split} splits differ ({', '.join(sorted(files))}): name one dataset by --data.")

    from rgacli.config.recipe import variant_names

    found = {}
    for target, prefix in zip(targets, _prefixes(targets), strict=True):
        names = variant_names(target.cfg)
        found |= {prefix + names[variant]: detections for variant, detections in target.detections().items()}
    figures = targets[0].figures if len(targets) == 1 else Path("figures") / targets[0].detections_dir.name
    return targets[0].annotations, found, figures


def _prefixes(targets: list[Target]) -> list[str]:
    """What tells the heads of several runs apart: their runs' names or, where those are the same, paths."""
    if len(targets) == 1:
        return [""]
    homes = [target.home.resolve() for target in targets]
    for home in homes:
        if homes.count(home) > 1:
            raise UsageError(f"run {home.name} stands twice: name each run once.")
    names = [target.name for target in targets]
    return [f"{target.home if names.count(target.name) > 1 else target.name} " for target in targets]


def _proposal_records(target: Target) -> list[dict[str, Any]]:
    import torch
    from mmengine.runner import Runner

    from rgacli.analysis.proposals import count_positive_proposals
    from rgacli.engine.runner import quiet_stdout
    from rgacli.evaluation.detect import split_dataloader
    from rgacli.modeling.build import build_detector

    annotations = target.annotations
    boxes: dict[int, list] = {image["id"]: [] for image in annotations["images"]}
    for entry in annotations["annotations"]:
        if not entry.get("iscrowd") and entry["image_id"] in boxes:
            x, y, width, height = entry["bbox"]
            boxes[entry["image_id"]].append([x, y, x + width, y + height])
    tensors = {image: torch.tensor(found, dtype=torch.float32).reshape(-1, 4) for image, found in boxes.items()}
    model = build_detector(target.cfg, target.checkpoint)
    with quiet_stdout():
        loader = Runner.build_dataloader(split_dataloader(target.cfg, target.split))
    records = []
    with live_progress() as progress:
        meter = Meter(progress, "proposals", len(loader.dataset))
        for record in count_positive_proposals(model, loader, tensors):
            records.append(record)
            meter.update(len(records))
    return records
