"""`rgacli predict`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rgacli.cli.options import ConfigOption, DeviceOption, JsonOption
from rgacli.cli.output import print_json, print_table, say
from rgacli.errors import DataError, RunFailed, UsageError

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

    from rgacli.evaluation.detections import Prediction
    from rgacli.inference.detector import ImageDetector, Prepared
    from rgacli.inference.predictions import Predictions

    Draw = Callable[[np.ndarray, Prediction], np.ndarray]


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Images, folders of images (at any depth), globs in quotes, and videos."
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(
            help="A run's name or directory, or a folder written by `rgacli export`. Default: the latest run.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Weights to use in a run's place, which need --config unless they lie in their run or export; or an "
            "ONNX file by `rgacli export onnx`. What is made of FILE.pth goes to FILE.rgacli/.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Folder to write into. Default: RUN/predictions/<time>.", show_default=False
        ),
    ] = None,
    head: Annotated[
        str,
        typer.Option(
            help="Whose detections: 'ensemble', a head's ratio (1:9) or its index (0 is the first); 'all' for each "
            "of them, in a folder of its own."
        ),
    ] = "ensemble",
    score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out detections below this score, in pictures and results.")
    ] = 0.3,
    panels: Annotated[
        bool,
        typer.Option(
            "--side-by-side",
            help="Draw a panel for each head and the ensemble, whatever --head: what not all of them found stands out.",
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the detector at once.")] = 4,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Detect objects on images and videos of your own: annotated pictures, and the detections as COCO JSON.

    Pictures keep their names; predictions.json lists images, categories (numbered from 1) and detections. What cannot
    be read is skipped and named; the exit code is then 1, or 2 if nothing could be read.
    """
    use_device(device)
    source = _find(run, checkpoint, config)

    from rgacli.analysis.pictures import annotate, side_by_side
    from rgacli.inference.media import find_media

    paths = find_media(inputs)
    detector = source.load(device)
    variants = {detector.names[variant]: variant for variant in select_variants(head, detector.names)}
    if panels and len(detector.heads) == 1:
        raise UsageError(f"--side-by-side: {source.name} has a single head ({detector.heads[0]}).")
    out = out or source.home / "predictions" / time.strftime("%Y%m%d_%H%M%S")
    folders = {name: out / variant if head == "all" else out for name, variant in variants.items()}

    def draw(name: str) -> Draw:
        return lambda pixels, prediction: annotate(pixels, prediction[name])

    drawings = {out: side_by_side} if panels else {folder: draw(name) for name, folder in folders.items()}
    found, count, skipped = _predict(detector, paths, list(folders), drawings, score, batch_size)
    if not count:
        raise DataError(f"nothing could be read of {', '.join(inputs)}.")
    for name, predictions in found.items():
        predictions.save(folders[name] / "predictions.json")

    counts = {name: predictions.counts() for name, predictions in found.items()}
    if json:
        print_json(
            {
                "run": source.name,
                "checkpoint": str(source.weights),
                "out": str(out),
                "images": count,
                "skipped": [str(path) for path in skipped],
                "detections": counts,
            }
        )
    else:
        rows = [
            {"class": name, **{part: counts[part].get(name, 0) for part in folders}}
            for name in detector.classes
            if any(name in part for part in counts.values())
        ]
        columns = {"class": "class", **{part: part for part in folders}}
        images = f"{count} image{'s' * (count != 1)}"
        print_table(f"{source.name}: objects found on {images}, score at least {score:g}", columns, rows)
    say(f"{source.name}: {source.weights.name}; pictures and predictions.json in {out}")
    if skipped:
        raise RunFailed(f"{len(skipped)} of {len(paths)} inputs could not be read and were skipped.")


@dataclass(frozen=True)
class _Source:
    """A detector that is not loaded yet: a run's or a checkpoint, or an ONNX file, which has no config."""

    name: str
    weights: Path
    home: Path
    cfg: Config | None = None

    def load(self, device: Device) -> ImageDetector:
        from rgacli.inference.detector import Detector
        from rgacli.inference.onnx_detector import OnnxDetector

        return Detector(self.cfg, self.weights) if self.cfg else OnnxDetector(self.weights, device)


def _find(run: str | None, checkpoint: Path | None, config: str | None) -> _Source:
    """What the options name."""
    if checkpoint and is_onnx(checkpoint) and not (run or config):
        return _Source(checkpoint.stem, checkpoint, checkpoint.with_suffix(".rgacli"))
    target = find_target(run, checkpoint, config, None, "test")
    return _Source(target.name, target.checkpoint, target.home, target.cfg)


def _predict(
    detector: ImageDetector,
    paths: Sequence[Path],
    heads: Sequence[str],
    drawings: Mapping[Path, Draw],
    score: float,
    batch_size: int,
) -> tuple[dict[str, Predictions], int, list[Path]]:
    """Runs the detector over all inputs and writes the pictures, with a progress display.

    Args:
        detector: The detector.
        paths: Images and videos.
        heads: Whose detections are wanted.
        drawings: Folder -> what draws the pictures in it.
        score: The least score of what is kept.
        batch_size: Images that are kept in memory and go through the detector at once.

    Returns:
        What each of the heads found, the number of images and frames, and the inputs that cannot be read.
    """
    from rgacli.inference.album import Album
    from rgacli.inference.media import count_frames
    from rgacli.inference.predictions import Predictions

    found = {name: Predictions(detector.classes) for name in heads}
    count, skipped = 0, []
    with ExitStack() as stack:
        albums = {stack.enter_context(Album(folder, paths)): draw for folder, draw in drawings.items()}
        meter = Meter(stack.enter_context(live_progress()), "predicting", count_frames(paths))
        frames = _frames(detector, paths, skipped)
        while batch := list(islice(frames, batch_size)):
            for frame, everything in zip(batch, detector.detect([frame.prepared for frame in batch]), strict=True):
                prediction = {name: part.above(score) for name, part in everything.items()}
                for name, predictions in found.items():
                    predictions.add(str(frame.path), frame.pixels.shape[:2], prediction[name], frame.number)
                for album, draw in albums.items():
                    album.add(frame.path, draw(frame.pixels, prediction), frame.fps)
            count += len(batch)
            meter.update(count + len(skipped))
    return found, count, skipped


@dataclass(frozen=True)
class _Frame:
    """An image, or one of a video's: pixels (H, W, 3) uint8 BGR, and as the detector takes it."""

    path: Path
    pixels: np.ndarray
    prepared: Prepared
    number: int | None = None
    fps: float | None = None


def _frames(detector: ImageDetector, paths: Sequence[Path], skipped: list[Path]) -> Iterator[_Frame]:
    """All that can be read, in order; what cannot is told of and joins `skipped`."""
    from rgacli.inference.media import is_video, open_video

    for path in paths:
        try:
            if is_video(path):
                video = open_video(path)
                number = -1
                for number, pixels in enumerate(video):
                    yield _Frame(path, pixels, detector.prepare(pixels), number, video.fps)
                if number + 1 < video.frame_cnt:
                    say(f"{path} ends after {number + 1} frames, of {video.frame_cnt} that it is said to have")
            else:
                pixels = detector.read(path)
                yield _Frame(path, pixels, detector.prepare(pixels))
        except DataError as error:
            skipped.append(path)
            say(f"skipped {path}: {str(error).removeprefix(f'{path}: ')}")
