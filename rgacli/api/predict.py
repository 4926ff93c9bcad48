"""Detecting objects on images and videos of one's own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rgacli.analysis import pictures
from rgacli.api.parameters import tiling_of
from rgacli.engine.device import Device, on_device
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.tiles import OVERLAP
from rgacli.inference.load import load_detector
from rgacli.inference.media import find_media
from rgacli.inference.predict import Draw, predict_files
from rgacli.inference.tiled_detector import TiledDetector
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, select_variants
from rgacli.progress import Progress
from rgacli.trained import find_trained
from rgacli.wording import param


@dataclass(frozen=True)
class PredictResult:
    """What a detector found on images and videos.

    Attributes:
        run: The run's (or checkpoint's) name.
        checkpoint: The weights.
        out: Folder of the pictures and of predictions.json; of several heads, each has its own in it.
        images: Number of images and frames that were looked at.
        skipped: Inputs that could not be read.
        detections: Head -> class -> number of detections with at least the score; classes without any are left out.
        inputs: Number of files that the inputs mean, each image or video one.
        classes: All classes, by label.
        predictions: Head -> its predictions.json: `images`, `categories` and `annotations` as in COCO's files, the
            annotations with `score`.
    """

    run: str
    checkpoint: Path
    out: Path
    images: int
    skipped: tuple[Path, ...]
    detections: Mapping[str, Mapping[str, int]]
    inputs: int
    classes: tuple[str, ...]
    predictions: Mapping[str, Path]


def predict(
    inputs: str | Path | Sequence[str | Path],
    *,
    run: str | Path | None = None,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    out: Path | None = None,
    head: str = ENSEMBLE,
    score: float = 0.3,
    max_dets: int | None = None,
    side_by_side: bool = False,
    tiles: int | None = None,
    tile_overlap: float = OVERLAP,
    batch_size: int = 4,
    safe: bool = False,
    device: Device = "auto",
    progress: Progress | None = None,
) -> PredictResult:
    """Detect objects on images and videos: annotated pictures, and the detections as COCO JSON.

    Pictures keep their names, and videos lose their sound; predictions.json lists images, categories (numbered from 1)
    and detections. For detections as arrays, `rgacli.load` a detector and call it.

    Args:
        inputs: Images, folders of images (at any depth), globs, and videos. What cannot be read is skipped.
        run: A run's name or folder, or a folder that an export wrote; the latest run without.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place, or an ONNX file that an export wrote.
        config: The checkpoint's, where it does not lie in its run or export.
        out: Folder to write into; by default RUN/predictions/<time>.
        head: Whose detections: "ensemble", a head's ratio ("1:9") or its index ("0" is the first); "all" for each of
            them, in a folder of its own.
        score: Leave out detections below it, in pictures and results.
        max_dets: Detections of an image that the detector can give: its limits are raised to it, not lowered. By
            default they are as it was trained.
        side_by_side: Draw a panel for each head and the ensemble, whatever `head`: what not all of them found stands
            out.
        tiles: Cut images that are larger into tiles of this side (px), detect on each and on the whole, and merge: for
            small objects in large images. Needs the package sahi.
        tile_overlap: Of neighbouring tiles, as a share of their side; at least as large as most objects.
        batch_size: Number of images, or tiles, that go through the detector at once.
        safe: Run nothing of the config, which is Python: it is read as one of literals, and refused if it says more.
            For detectors of somebody else's. A checkpoint runs no code in any case.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch.

    Raises:
        UsageError: an input means no file, the detector or the head cannot be used, or a picture would overwrite an
            input.
        DataError: nothing at all could be read.
    """
    named = [str(name) for name in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    tiling = tiling_of(tiles, tile_overlap)
    with on_device(device), ExitStack() as stack:
        trained = find_trained(run, checkpoint, config, which=which, onnx=True, safe=safe)
        paths = find_media(named)
        detector = load_detector(trained, device, max_dets)
        if tiling:
            detector = TiledDetector(detector, tiling, batch_size)
        variants = {detector.names[variant]: variant for variant in select_variants(head, detector.names)}
        if side_by_side and len(detector.heads) == 1:
            raise UsageError(f"{param('side_by_side', True)}: {trained.name} has a single head ({detector.heads[0]}).")
        out = Path(out) if out else stack.enter_context(_new_folder(trained.place / "predictions"))
        folders = {name: out / variant if head == "all" else out for name, variant in variants.items()}
        drawings = {folder: _draw(name) for name, folder in folders.items()}
        if side_by_side:
            drawings = {out: pictures.side_by_side}
        found = predict_files(
            detector, paths, list(folders), drawings, score=score, batch_size=batch_size, progress=progress
        )
    if not found.images:
        raise DataError(f"nothing could be read of {', '.join(named)}.")
    files = {name: folder / "predictions.json" for name, folder in folders.items()}
    for name, path in files.items():
        found.heads[name].save(path)
    tell(f"{trained.name}: {trained.checkpoint.name}; pictures and predictions.json in {out}")
    return PredictResult(
        run=trained.name,
        checkpoint=trained.checkpoint,
        out=out,
        images=found.images,
        skipped=found.skipped,
        detections={name: predictions.counts() for name, predictions in found.heads.items()},
        inputs=len(paths),
        classes=detector.classes,
        predictions=files,
    )


@contextmanager
def _new_folder(place: Path) -> Iterator[Path]:
    """Yield a folder that is named by the time, and nobody else's: others may begin in the same second.

    It is removed, and so is its place, if nothing came into it.
    """
    now = time.strftime("%Y%m%d_%H%M%S")
    names = itertools.chain([now], (f"{now}_{number}" for number in itertools.count(2)))
    folder = next(place / name for name in names if _made(place / name))
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()
            place.rmdir()


def _made(folder: Path) -> bool:
    """Make a folder and return whether there was none."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return False
    return True


def _draw(head: str) -> Draw:
    """Return what draws a head's detections."""
    return lambda pixels, prediction: pictures.annotate(pixels, prediction[head])
