"""Handing a trained detector on: as a stock mmdet model or an ONNX file, which take none of rgacli to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.config.dataset import annotation_file
from rgacli.errors import UsageError
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.export.check import ALONE, BATCHES, check_parity
from rgacli.export.exported_head import ExportedHead
from rgacli.export.onnx import write_onnx
from rgacli.export.parity import Parity
from rgacli.export.provenance import export_provenance
from rgacli.export.stock import stock_detector, write_stock
from rgacli.files import replacing, replacing_files_in
from rgacli.inference.detector import class_names, inference_dataset
from rgacli.messages import tell
from rgacli.method import ENSEMBLE
from rgacli.modeling.build import build_detector
from rgacli.progress import Progress
from rgacli.runs import CONFIG, EXPORTED
from rgacli.trained import find_trained
from rgacli.wording import function, param


@dataclass(frozen=True)
class StockExport:
    """A detector of mmdet's own classes: `init_detector(config, checkpoint)` of mmdet loads it.

    Attributes:
        config: The file of its config.
        checkpoint: The file of its weights.
        provenance: Where it comes from, as both files tell: run, checkpoint, what was trained and exported, metrics.
        check: How closely its detections agree with the run's; None where they were not compared.
    """

    config: Path
    checkpoint: Path
    provenance: Mapping[str, Any]
    check: Parity | None


@dataclass(frozen=True)
class OnnxExport:
    """A detector in an ONNX file, from the pixels of images of any size to detections after NMS.

    Attributes:
        onnx: The file.
        provenance: As for StockExport; the file's metadata tell it.
        check: As for StockExport, one image at a time.
        batches: The same in batches: of three images ("3"), and of images of several sizes ("mixed"); empty where they
            were not compared.
    """

    onnx: Path
    provenance: Mapping[str, Any]
    check: Parity | None
    batches: Mapping[str, Parity]


def export_fold(
    run: str | Path | None = None,
    *,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    out: Path | None = None,
    check: int = 8,
    progress: Progress | None = None,
) -> StockExport:
    """Fold all heads into one that detects as their average ensemble does, exactly (to rounding).

    K heads of fully connected layers become one head K times as wide, at every stage of a cascade.

    Args:
        run: A run's name or folder; the latest without.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run.
        out: Folder to write into; by default RUN/export/fold.
        check: Number of images of the test split on which the detections of what was written are compared with the
            run's own; where they differ by more than rounding does, nothing is kept.
        progress: Told of each image compared.

    Raises:
        UsageError: the detector cannot be used, has no parallel heads, or heads with convolutions or norms, which do
            not fold.
        RunFailed: what was exported did not pass its check.
    """
    source = SplitDetections.of(find_trained(run, checkpoint, config, which=which), "test")
    return _export_stock(source, ExportedHead.of(source.cfg, ENSEMBLE), out, check, progress)


def export_head(
    run: str | Path | None = None,
    *,
    head: str,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    out: Path | None = None,
    check: int = 8,
    progress: Progress | None = None,
) -> StockExport:
    """Take one head alone, as a stock detector of the size of the baseline.

    Args:
        run, which, checkpoint, config, check, progress: As for `export_fold`.
        head: Its ratio ("1:9") or its index ("0" is the first).
        out: Folder to write into; by default RUN/export/HEAD.

    Raises:
        UsageError: the detector cannot be used, or has no such head or no parallel heads.
        RunFailed: as `export_fold`.
    """
    source = SplitDetections.of(find_trained(run, checkpoint, config, which=which), "test")
    exported = ExportedHead.of(source.cfg, head)
    if exported.parallel and exported.index is None:
        raise UsageError(
            f"{param('head', head)}: this exports one head; {function('export_fold')} exports the ensemble."
        )
    return _export_stock(source, exported, out, check, progress)


def export_onnx(
    run: str | Path | None = None,
    *,
    head: str = ENSEMBLE,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    out: Path | None = None,
    check: int = 8,
    progress: Progress | None = None,
) -> OnnxExport:
    """Write an ONNX file that takes batches of images of any size and gives detections after NMS, with masks if any.

    Of Faster, Cascade and Mask R-CNN, with parallel heads or plain; the file tells what goes in and what comes out
    (`rgacli.inference.onnx_format.DESCRIPTION`). Needs the packages onnx and onnxruntime.

    Args:
        run, which, checkpoint, config, progress: As for `export_fold`.
        check: As for `export_fold`; the images go through both one at a time, in batches of three, and in batches of
            mixed sizes.
        head: "ensemble": all heads, folded into one; or a head's ratio ("1:9") or its index ("0" is the first).
        out: File to write; by default RUN/export/fold.onnx or RUN/export/HEAD.onnx.

    Raises:
        UsageError: the detector cannot be used or has parts that an ONNX file is not made with, its heads do not fold,
            or a package is missing.
        RunFailed: as `export_fold`.
    """
    source = SplitDetections.of(find_trained(run, checkpoint, config, which=which), "test")
    exported = ExportedHead.of(source.cfg, head)
    path = Path(out or source.place / "export" / f"{exported.file_stem}.onnx")
    if path.suffix != ".onnx":
        raise UsageError(f"{param('out', path)}: the name of an ONNX file ends in .onnx.")
    if exported.parallel:
        model = stock_detector(source.cfg, source.checkpoint, exported.index).detector
    else:
        model = build_detector(source.cfg, source.checkpoint, "cpu")
    provenance = export_provenance(source, exported)
    pipeline = inference_dataset(source.cfg).pipeline
    with replacing(path) as temporary:
        write_onnx(model, temporary, classes=class_names(source.cfg), pipeline=pipeline, provenance=provenance)
        written = find_trained(checkpoint=temporary, onnx=True)
        checked = check_parity(source, exported, written, check, progress, list(BATCHES))
    tell(f"{source.name}: {exported}: {path}")
    alone = checked.pop(ALONE, None)
    return OnnxExport(path, provenance, alone, checked)


def _export_stock(
    source: SplitDetections, exported: ExportedHead, out: Path | None, check: int, progress: Progress | None
) -> StockExport:
    folder = Path(out or source.place / "export" / exported.file_stem)
    provenance = export_provenance(source, exported)
    about = dict(classes=class_names(source.cfg), ann_file=annotation_file(source.dataset), provenance=provenance)
    with replacing_files_in(folder) as temporary:
        write_stock(source.cfg, source.checkpoint, temporary, head=exported.index, **about)
        checked = check_parity(source, exported, find_trained(temporary), check, progress)
    config, checkpoint = folder / CONFIG, folder / EXPORTED
    tell(f"{source.name}: {exported}; in stock mmdet:")
    tell(f'  init_detector("{config}", "{checkpoint}")')
    return StockExport(config, checkpoint, provenance, checked.get(ALONE))
