"""`rgacli ensemble`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.options import BinsOption, DataOption, DeviceOption, JsonOption, SplitName, SplitOption
from rgacli.cli.output import print_json, print_table, say
from rgacli.errors import UsageError
from rgacli.method import ENSEMBLING_METHODS as METHODS

if TYPE_CHECKING:
    from rgacli.analysis.ensembles import Row

MethodChoice = Enum("MethodChoice", {method: method for method in METHODS})  # Typer takes no list of literals

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
_TIMED = 20

BootstrapOption = Annotated[int, typer.Option(min=2, help="Bootstrap samples of images behind each interval.")]
TimedOption = Annotated[int, typer.Option(min=0, help="Images to time each method on; 0: none.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the figure and its CSV. Default: RUN/figures/SPLIT; under ensembles/ for several runs or "
        "--results.",
        show_default=False,
    ),
]


def ensemble(
    runs: RunsArgument = None,
    method: MethodOption = None,
    results: ResultsOption = None,
    annotations: AnnotationsOption = None,
    bins: BinsOption = None,
    calibrate: CalibrateOption = None,
    checkpoint: CheckpointsOption = None,
    config: ConfigsOption = None,
    data: DataOption = None,
    split: SplitOption = "test",
    bootstrap: BootstrapOption = 200,
    timed: TimedOption = _TIMED,
    out: OutOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Which way of combining heads is best, on which images, and at what cost.

    average is the paper's (Sec. 3.2): logits before softmax, boxes of the head with the most positives. average-probs
    averages probabilities; average-boxes decoded boxes, too. joint-nms mixes detections, then NMS. wbf is weighted
    boxes fusion. dispatch weighs the heads by the number of objects that an image seems to have, calibrated on another
    split. oracle takes the head that is best for the true number: the headroom, as it looks at the annotations.

    Of several runs, the first one's RPN feeds the R-CNN modules of all for the averages. The detections of each method
    are saved as COCO results beside the heads'.
    """
    from rgacli.evaluation.gt_bins import assign, default_bins, parse_bins

    own_bins = None if bins is None else parse_bins(bins)
    if results:
        detecting = runs or checkpoint or config or data or calibrate or split != "test" or device != "auto"
        if detecting or timed not in (0, _TIMED):
            raise UsageError(
                "--results stand alone: leave out runs, --checkpoint, --config, --data, --split, --calibrate, --timed "
                "and --device."
            )
        source: Source = Results(results, annotations)
    elif annotations:
        raise UsageError("--annotations goes with --results NAME=FILE; a run's dataset is named by --data.")
    elif calibrate and method and MethodChoice.dispatch not in method:
        raise UsageError("--calibrate goes with --method dispatch.")
    else:
        use_device(device)
        source = find_source(runs, checkpoint, config, data, split, calibrate)

    from rgacli.analysis.ensembles import collect, plot
    from rgacli.analysis.figures import require_place
    from rgacli.data.annotations import gt_counts
    from rgacli.evaluation.coco_metrics import evaluate

    shown_bins = own_bins or default_bins(source.annotations)
    methods = source.choose([choice.value for choice in method or ()])
    combined = source.averaged(methods, shown_bins)
    figure = (out or source.figures) / "ensembles.png"
    require_place(figure)
    combined |= source.fused(methods)
    evaluations = {name: evaluate(source.annotations, found) for name, found in (source.singles | combined).items()}
    chosen = None
    if "oracle" in methods:
        combined["oracle"], chosen = source.oracle(evaluations, shown_bins)
        evaluations["oracle"] = evaluate(source.annotations, combined["oracle"])
    _save(source, combined)
    reference = AVERAGE if AVERAGE in combined else next(iter(source.singles))
    order = [*source.singles, *(name for name in (AVERAGE, *methods) if name in combined)]
    compared = {name: evaluations[name] for name in dict.fromkeys(order)}
    with counted("comparing") as progress:
        rows = collect(compared, shown_bins, reference, bootstrap=bootstrap, progress=progress)
    costs = source.costs(methods, timed)
    images = {label: len(found) for label, found in assign(gt_counts(source.annotations), shown_bins).items()}
    plot(rows, reference, images, figure)
    say(f"figure: {figure}; data: {figure.with_suffix('.csv')}; detections in {source.detections_dir}")
    on = source.ann_file if results else split
    if json:
        print_json(_as_json(source, rows, images, costs, reference, chosen, on=on, figure=figure))
    else:
        _print(source, rows, images, costs, reference, chosen, on)


def _save(source: Source, combined: dict[str, list[dict]]) -> None:
    """Saves what no forward pass left on disk."""
    from rgacli.evaluation.results import save_results

    for name in ("joint-nms", "wbf", "dispatch", "oracle"):
        if name in combined:
            save_results(source.detections_dir / f"{name}.json", combined[name])


def _as_json(
    source: Source,
    rows: Sequence[Row],
    images: Mapping[str, int],
    costs: Costs,
    reference: str,
    chosen: dict[str, str] | None,
    *,
    on: str,
    figure: Path,
) -> dict[str, Any]:
    timing = costs.timing
    entries = {}
    for row in rows:
        entry = {**row._asdict(), "parameters": costs.parameters.get(row.name)}
        entry["added_seconds"] = timing.added.get(row.name) if timing else None
        entries[row.name] = entry
    heads = []
    for name in source.singles:
        entry = {"head": name, **entries.pop(name)}
        if name != reference:  # what the average gains over it
            low, gain, high = (0.0 - entry[key] for key in ("difference_high", "difference", "difference_low"))
            entry |= {"gain": gain, "gain_low": low, "gain_high": high}
        heads.append(entry)
    about = {"run": source.name, "split": on, "annotations": source.ann_file, "reference": reference, "images": images}
    about |= {"figure": str(figure), "detections": str(source.detections_dir)}
    if timing:
        about["timing"] = {"single_seconds": timing.single, "images": timing.images, "device": timing.device}
    if isinstance(source, Heads) and source.calibration:
        found = source.calibration
        about["dispatch"] = {"calibrated_on": source.calibration_target.ann_file, **vars(found)}
    if chosen:
        about["oracle"] = {"uses_annotations": True, "chosen": chosen}
    return {**about, "heads": heads, "methods": list(entries.values())}


def _print(
    source: Source,
    rows: Sequence[Row],
    images: Mapping[str, int],
    costs: Costs,
    reference: str,
    chosen: dict[str, str] | None,
    on: str,
) -> None:
    columns = {"name": "", "AP": "AP", "AP50": "AP50", "AP75": "AP75", **{label: label for label in rows[0].bins}}
    print_table(
        f"{source.name} on {on}: AP, and AP on images of so many objects",
        columns,
        [{**row._asdict(), **row.bins} for row in rows],
    )
    print(f"images: {', '.join(f'{number} of {label} objects' for label, number in images.items())}")
    timing = costs.timing
    costing = [
        {
            "name": row.name,
            "gained": _signed(row),
            "parameters": _millions(costs.parameters.get(row.name)),
            "added": f"{1000 * timing.added[row.name]:+.1f}" if timing and row.name in timing.added else None,
        }
        for row in rows
    ]
    headings = {"name": "", "gained": "gain"}
    headings |= {"parameters": "parameters"} if costs.parameters else {}
    headings |= {"added": "added ms"} if timing else {}
    print_table(f"what each gains over {reference} (AP ± 95 %), and costs", headings, costing)
    if reference == AVERAGE:
        gains = [
            f"{0.0 - row.difference:+.3f}{_half(row)} over {row.name}" for row in rows if row.name in source.singles
        ]
        print(f"averaging gains {', '.join(gains)}")
    if timing:
        print(
            f"time: median over {timing.images} images, on {timing.device}; a single one takes "
            f"{1000 * timing.single:.1f} ms an image in all"
        )
    if isinstance(source, Heads) and source.calibration:
        found = source.calibration
        taken = ", ".join(
            f"{label}: {'average' if name == 'ensemble' else name}" for label, name in found.variants.items()
        )
        print(
            f"dispatch: calibrated on {source.calibration_target.ann_file}; detections of {found.threshold:g} or more "
            f"count as objects (off by {found.count_error:.1f} an image); {taken}"
        )
    if chosen:
        taken = ", ".join(f"{label}: {name}" for label, name in chosen.items())
        print(f"oracle looks at the annotations that it is measured by, so it is no method but the headroom; {taken}")


def _signed(row: Row) -> str | None:
    return None if row.difference is None else f"{row.difference:+.3f}{_half(row)}"


def _half(row: Row) -> str:
    half = row.difference_high - row.difference
    return "" if isnan(half) else f" ± {half:.3f}"  # NaN on a single image


def _millions(parameters: int | None) -> str | None:
    return None if parameters is None else f"{parameters / 1e6:.2f} M"
