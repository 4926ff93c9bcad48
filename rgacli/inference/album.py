"""A folder of pictures and videos that are made from others, named as those are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from rgacli.errors import UsageError
from rgacli.inference.media import IMAGES, is_video, video_writer, write_image
from rgacli.wording import param


class Album:
    """Pictures, one for each source or for each frame of a video; a context manager, which closes videos.

    Args:
        folder: Where they go. Sources of several folders keep their places below the folder that all share.
        sources: The files they will be made from.
        parameter: What names the folder.

    Raises:
        UsageError: a picture would overwrite a source or another picture.
    """

    def __init__(self, folder: Path, sources: Sequence[Path], parameter: str = "out") -> None:
        root = os.path.commonpath([os.path.abspath(path.parent) for path in sources])
        self._places = {path: folder / _name(Path(os.path.relpath(path, root))) for path in sources}
        taken = {os.path.realpath(path) for path in sources}
        for source, place in self._places.items():
            if os.path.realpath(place) in taken:
                raise UsageError(
                    f"the picture of {source} would overwrite {place}: choose another folder by {param(parameter)}."
                )
            taken.add(os.path.realpath(place))
        self._video: Path | None = None
        self._write: Callable[[np.ndarray], None]
        self._open = ExitStack()

    def add(self, source: Path, pixels: np.ndarray, fps: float | None = None) -> None:
        """Write a source's picture, or the next frame of its video.

        Args:
            source: What it was made from; the frames of a video come one after the other.
            pixels: (H, W, 3) uint8 BGR.
            fps: Frames per second of a video.
        """
        if fps is None:
            write_image(self._places[source], pixels)
            return
        if source != self._video:
            self._open.close()  # the video before is whole
            self._video, self._write = source, self._open.enter_context(video_writer(self._places[source], fps))
        self._write(pixels)

    def __enter__(self) -> Album:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def _name(path: Path) -> Path:
    """Return the source's own name, where its format is one that we write; else with ours behind it."""
    ours, written = (".mp4", (".mp4",)) if is_video(path) else (".png", IMAGES)
    return path if path.suffix.lower() in written else path.with_name(path.name + ours)
