"""A detector on files of images and videos: what it finds, and pictures of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from rgacli.evaluation.detections import Prediction
from rgacli.evaluation.results import require_score
from rgacli.inference.album import Album
from rgacli.inference.detector import ImageDetector, require_batch
from rgacli.inference.frames import Frames
from rgacli.inference.media import count_frames
from rgacli.inference.predictions import Predictions
from rgacli.progress import Progress

Draw = Callable[[np.ndarray, Prediction], np.ndarray]
"""Takes an image (H, W, 3) uint8 BGR and what was found on it; returns the picture (H', W', 3) uint8 BGR."""


@dataclass(frozen=True)
class FilePredictions:
    """What was found on files.

    Attributes:
        heads: Head -> what it found.
        images: Number of images and frames.
        skipped: Files that could not be read.
    """

    heads: Mapping[str, Predictions]
    images: int
    skipped: tuple[Path, ...]


def predict_files(
    detector: ImageDetector,
    paths: Sequence[Path],
    heads: Sequence[str],
    drawings: Mapping[Path, Draw],
    *,
    score: float = 0.0,
    batch_size: int = 4,
    progress: Progress | None = None,
) -> FilePredictions:
    """Run a detector over files, and write a picture of each image and frame.

    Args:
        detector: The detector.
        paths: Images and videos; what cannot be read is told of and skipped.
        heads: Whose detections are collected.
        drawings: Folder -> what draws the pictures in it, of all heads' detections.
        score: The least score of what is collected and drawn, in [0, 1].
        batch_size: Number of images that are in memory and go through the detector at once.
        progress: Told of each batch.

    Raises:
        UsageError: a picture would overwrite a file or another picture, or a number is out of range.
    """
    require_score(score)
    require_batch(batch_size)
    found = {head: Predictions(detector.classes) for head in heads}
    frames, images, total = Frames(paths, detector), 0, count_frames(paths)
    with ExitStack() as stack:
        albums = [(stack.enter_context(Album(folder, paths)), draw) for folder, draw in drawings.items()]
        remaining = iter(frames)
        while batch := list(islice(remaining, batch_size)):
            for frame, everything in zip(batch, detector.detect([frame.prepared for frame in batch]), strict=True):
                prediction = {head: detections.above(score) for head, detections in everything.items()}
                for head, predictions in found.items():
                    predictions.add(str(frame.path), frame.pixels.shape[:2], prediction[head], frame.number)
                for album, draw in albums:
                    album.add(frame.path, draw(frame.pixels, prediction), frame.fps)
            images += len(batch)
            if progress:
                progress("predicting", images + len(frames.skipped), total)
    return FilePredictions(found, images, tuple(frames.skipped))
