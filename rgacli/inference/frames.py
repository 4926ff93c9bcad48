"""Images, and frames of videos, one after the other as a detector takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rgacli.errors import DataError
from rgacli.inference.detector import ImageDetector, Prepared
from rgacli.inference.media import is_video, open_video
from rgacli.messages import tell


@dataclass(frozen=True)
class Frame:
    """An image, or one of a video's.

    Attributes:
        path: The file.
        pixels: (H, W, 3) uint8 BGR.
        prepared: As the detector takes it.
        number: Of a video's frame, from 0.
        fps: The video's frames per second.
    """

    path: Path
    pixels: np.ndarray
    prepared: Prepared
    number: int | None = None
    fps: float | None = None


class Frames:
    """An iterable, once, of all that can be read of some files, in their order; what cannot is told of and skipped.

    Args:
        paths: Images and videos.
        detector: Which they are prepared for.

    Attributes:
        skipped: Files that could not be read, so far.
    """

    def __init__(self, paths: Sequence[Path], detector: ImageDetector) -> None:
        self._paths, self._detector = paths, detector
        self.skipped: list[Path] = []

    def __iter__(self) -> Iterator[Frame]:
        for path in self._paths:
            try:
                yield from self._video(path) if is_video(path) else self._image(path)
            except DataError as error:
                self.skipped.append(path)
                tell(f"skipped {path}: {error.message.removeprefix(f'{path}: ')}")

    def _image(self, path: Path) -> Iterator[Frame]:
        pixels = self._detector.read(path)
        yield Frame(path, pixels, self._detector.prepare(pixels))

    def _video(self, path: Path) -> Iterator[Frame]:
        video, count = open_video(path), 0
        for pixels in video:
            yield Frame(path, pixels, self._detector.prepare(pixels), count, video.fps)
            count += 1
        if count < video.frame_cnt:
            tell(f"{path} ends after {count} frames, of {video.frame_cnt} that it is said to have")
