"""`rgacli export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rgacli
from rgacli.cli.command import Command
from rgacli.cli.options import CheckpointOption, ConfigOption, JsonOption, RunArgument
from rgacli.cli.output import print_json, say
from rgacli.errors import RunFailed, UsageError
from rgacli.files import replacing, replacing_files_in

if TYPE_CHECKING:
    from rgacli.export.parity import Agreement
    from rgacli.inference.detector import ImageDetector

app = typer.Typer(
    help="Hand a trained detector on: as a stock mmdet model or an ONNX file, which take none of rgacli to run.",
    no_args_is_help=True,
)

_TOLERANCE = dict(boxes=0.01, scores=1e-3, unpaired=0.01)
"""How far rounding may part detections, in pixels and score, and how many it may exchange in NMS: it stays below."""

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
    target = find_target(run, checkpoint, config, None, "test")
    _export_stock(target, _part(target, "ensemble"), out, check, json)


@app.command(cls=Command)
def head(
    which: Annotated[str, typer.Option("--head", help="The head: its ratio (1:9) or its index (0 is the first).")],
    run: RunArgument = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    out: FolderOption = None,
    check: CheckOption = 8,
    json: JsonOption = False,
) -> None:
    """Take one head alone, as a stock detector of the size of the baseline."""
    target = find_target(run, checkpoint, config, None, "test")
    part = _part(target, which)
    if part.parallel and part.head is None:
        raise UsageError(f"--head {which}: this exports one head; `rgacli export fold` exports the ensemble.")
    _export_stock(target, part, out, check, json)


@app.command(cls=Command)
def onnx(
    run: RunArgument = None,
    checkpoint: CheckpointOption = None,
    config: ConfigOption = None,
    which: Annotated[
        str,
        typer.Option("--head", help="'ensemble': all heads, folded into one; or a head's ratio (1:9) or its index."),
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
    """Write an ONNX file that takes an image of any size and gives detections after NMS.

    Of Faster and Cascade R-CNN, with parallel heads or plain; a mask head stays behind. `rgacli predict` and
    rgacli.load take the file. Needs the packages onnx and onnxruntime (rgacli[onnx]).
    """
    target = find_target(run, checkpoint, config, None, "test")

    from rgacli.export.onnx import export_onnx
    from rgacli.export.stock import stock_detector
    from rgacli.inference.detector import class_names, inference_dataset
    from rgacli.inference.onnx_detector import OnnxDetector
    from rgacli.modeling.build import build_detector

    part = _part(target, which)
    path = out or target.home / "export" / f"{part.file_name}.onnx"
    if path.suffix != ".onnx":
        raise UsageError(f"--out {path}: the name of an ONNX file ends in .onnx.")
    if part.parallel:
        model = stock_detector(target.cfg, target.checkpoint, part.head).detector
    else:
        model = build_detector(target.cfg, target.checkpoint, "cpu")
    provenance = _provenance(target, part)
    pipeline = inference_dataset(target.cfg).pipeline
    about = dict(classes=class_names(target.cfg), pipeline=pipeline, provenance=provenance)
    with replacing(path) as temporary:
        export_onnx(model, temporary, **about)
        agreed = _check(target, part, lambda: OnnxDetector(temporary, "cpu"), check)
    masks = "; its mask head stays behind" if model.roi_head.with_mask else ""
    say(f"{target.name}: {part}{masks}: {path}")
    if json:
        print_json({"onnx": str(path), "provenance": provenance, "check": agreed and asdict(agreed)})


@dataclass(frozen=True)
class _Part:
    """What of a detector is exported.

    Attributes:
        variant: As files are named: "1to9", "ensemble".
        name: As a prediction's key: "1:9", "ensemble".
        head: The index of the head that is taken alone; None is the detector as a whole.
        parallel: Whether the detector has parallel heads.
    """

    variant: str
    name: str
    head: int | None
    parallel: bool

    @property
    def file_name(self) -> str:
        """What it is called on disk."""
        return "fold" if self.parallel and self.head is None else self.variant

    def __str__(self) -> str:
        return "all heads folded into one" if self.name == "ensemble" else self.name


def _part(target: Target, which: str) -> _Part:
    """What --head means.

    Raises:
        UsageError: there is no such head, or it is 'all'.
    """
    from rgacli.config.recipe import parallel_ratios, variant_names

    names = variant_names(target.cfg)
    if which == "all":
        raise UsageError("--head all: an export is of one head, or of their ensemble.")
    (variant,) = select_variants(which, names)
    parallel = bool(parallel_ratios(target.cfg))
    whole = which == "ensemble" or not parallel
    return _Part(variant, names[variant], None if whole else list(names).index(variant), parallel)


def _export_stock(target: Target, part: _Part, out: Path | None, check: int, json: bool) -> None:
    from rgacli.config.dataset import annotation_file
    from rgacli.config.files import load_config
    from rgacli.export.stock import CHECKPOINT, CONFIG, export_stock
    from rgacli.inference.detector import Detector, class_names

    folder = out or target.home / "export" / part.file_name
    provenance = _provenance(target, part)
    ann_file = annotation_file(target.dataset)
    about = dict(classes=class_names(target.cfg), ann_file=ann_file, provenance=provenance)
    with replacing_files_in(folder) as temporary:
        export_stock(target.cfg, target.checkpoint, temporary, head=part.head, **about)
        config, checkpoint = temporary / CONFIG, temporary / CHECKPOINT
        agreed = _check(target, part, lambda: Detector(load_config(str(config)), checkpoint, "cpu"), check)
    config, checkpoint = folder / CONFIG, folder / CHECKPOINT
    say(f"{target.name}: {part}; in stock mmdet:")
    say(f'  init_detector("{config}", "{checkpoint}")')
    if json:
        files = {"config": str(config), "checkpoint": str(checkpoint)}
        print_json({**files, "provenance": provenance, "check": agreed and asdict(agreed)})


def _check(target: Target, part: _Part, load: Callable[[], ImageDetector], limit: int) -> Agreement | None:
    """Compares what was exported with what it was made from, on images of the test split.

    Args:
        target: What it was made from.
        part: What of it.
        load: Makes a detector of what was exported.
        limit: How many images.

    Returns:
        None where none of the images is there, or is asked for.

    Raises:
        RunFailed: they differ.
    """
    from rgacli.export.parity import Agreement, agreement
    from rgacli.inference.detector import Detector

    if not limit:
        return None
    paths = _images(target, limit)
    if not paths:
        say(f"{target.name}: not checked, for the test split's images are not there")
        return None
    exported, own, agreed = load(), Detector(target.cfg, target.checkpoint, "cpu"), Agreement()
    with counted("checking") as progress:
        for number, path in enumerate(paths, start=1):
            agreed += agreement([exported(path)[exported.heads[-1]]], [own(path)[part.name]])
            progress(number, len(paths))
    if not agreed.within(**_TOLERANCE):
        raise RunFailed(
            f"{target.name}: what was exported does not detect what {part.name} does, and is not kept: {agreed} "
            "(--check 0 exports without looking)."
        )
    nothing = "; nothing was found, so that nothing is shown" * (not agreed.detections)
    say(f"{target.name}: checked against {part.name}: {agreed}{nothing}")
    return agreed


def _images(target: Target, limit: int) -> list[Path]:
    """Images of the test split that are there; none if its annotations, which list them, are not."""
    from rgacli.config.dataset import annotation_file, image_folder

    if not Path(annotation_file(target.dataset)).is_file():
        return []
    folder = Path(image_folder(target.dataset))
    return [path for image in target.images["images"] if (path := folder / image["file_name"]).is_file()][:limit]


def _provenance(target: Target, part: _Part) -> dict[str, Any]:
    """Where an export comes from; of what is an export itself, where that came from."""
    from rgacli.config.dataset import annotation_file
    from rgacli.config.recipe import annealing_config, describe_method, parallel_ratios
    from rgacli.evaluation.detect import saved_metrics

    if "provenance" in target.cfg:
        return dict(target.cfg.provenance)
    ann_file, metrics = annotation_file(target.dataset), {}
    if Path(ann_file).is_file():
        metrics = saved_metrics((target.cfg, target.checkpoint), ann_file, target.detections_dir)
    measured = {name: value for name, value in metrics.get(part.variant, {}).items() if not isnan(value)}
    if not measured:
        say(f"{target.name}: without metrics, as there are none on the test split (rgacli eval makes them)")
    return {
        "rgacli": rgacli.__version__,
        "run": target.name,
        "checkpoint": target.checkpoint.name,
        "trained": describe_method(target.cfg),
        "ratios": [str(ratio) for ratio in parallel_ratios(target.cfg)],
        "lambda0": annealing_config(target.cfg).get("lambda0", 1.0),  # 1 is no RGA
        "exported": part.name,
        "measured_on": ann_file if measured else None,
        "metrics": measured,
    }
