"""Images and videos to look at: finding them, reading videos, and writing both."""

from __future__ import annotations

import glob
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import mmcv
import numpy as np

from rgacli.data.images import IMAGES
from rgacli.errors import DataError, RunFailed, UsageError
from rgacli.files import replacing
from rgacli.messages import tell

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")

_MP4 = cv2.VideoWriter_fourcc(*"mp4v")


def find_media(names: Sequence[str]) -> list[Path]:
    """Return the files that the names of images, videos, folders and globs mean: each once, in their order.

    A folder stands for the images in it, at any depth, sorted. A file that is named is taken whatever its suffix.

    Raises:
        UsageError: a name means nothing.
    """
    found: dict[Path, Path] = {}
    for name in names:
        if not name:
            raise UsageError("an empty name means no image (a folder's own is '.').")
        path = Path(name)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if _is_image(file))
            if not files:
                raise UsageError(f"{name}: no image in this folder ({', '.join(IMAGES)}).")
        elif path.exists():
            files = [path]
        else:
            files = [Path(match) for match in sorted(glob.glob(name, recursive=True)) if os.path.isfile(match)]
            if not files:
                raise UsageError(f"{name}: no such file or folder, and no file that matches it as a pattern.")
        for file in files:
            found.setdefault(Path(os.path.realpath(file.parent), file.name), file)  # a link is a file of its own
    return list(found.values())


def _is_image(path: Path) -> bool:
    """Judge by the suffix, be it a broken link; not what systems hide beside images, which often bears their suffix."""
    return path.suffix.lower() in IMAGES and not path.name.startswith(".") and not path.is_dir()


def is_video(path: Path) -> bool:
    """Return whether a file is taken for a video, by its suffix."""
    return path.suffix.lower() in VIDEOS


def count_frames(paths: Sequence[Path]) -> int:
    """Return how many images the files hold, as far as videos tell."""
    return sum(max(1, mmcv.VideoReader(str(path)).frame_cnt) if is_video(path) else 1 for path in paths)


def open_video(path: Path) -> mmcv.VideoReader:
    """Open a video: an iterable of frames (H, W, 3) uint8 BGR, with their rate `fps` and, if it tells, `frame_cnt`.

    Raises:
        DataError: it has no frame that can be read.
    """
    video = mmcv.VideoReader(str(path))
    if not video.opened or video.read() is None:
        raise DataError(f"{path}: not a video that OpenCV can read, or a damaged one.")
    return video  # iterating begins at its first frame


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Atomically write pixels (H, W, 3), uint8 BGR, in the format of the path's suffix.

    Where that has no room for so many (WebP ends at 16,383 a side), they become NAME.SUFFIX.png.

    Raises:
        RunFailed: nor has PNG.
    """
    content = _encoded(path.suffix, pixels)
    if content is None:
        height, width = pixels.shape[:2]
        tell(f"{path} is written as PNG: {path.suffix.removeprefix('.')} has no room for {width}x{height} pixels")
        path = path.with_name(f"{path.name}.png")
        content = _encoded(path.suffix, pixels)
        if content is None:
            raise RunFailed(f"{path} cannot be written: {width}x{height} pixels are too many.")
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _encoded(suffix: str, pixels: np.ndarray) -> bytes | None:
    """Return the bytes of an image file, for us to write: a full disk is then an OSError, and no False."""
    try:
        done, content = cv2.imencode(suffix, pixels)
    except cv2.error:
        return None
    return content.tobytes() if done else None


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield what takes a video's frames (H, W, 3), uint8 BGR, one after the other; all of one size.

    The video is written atomically, as MP4. Where OpenCV cannot, the frames become images in a folder of the path's
    name without its suffix: 000000.jpg, 000001.jpg, …

    Args:
        path: The video.
        fps: Frames per second; not positive is taken for unknown, which is written as 25.
    """
    if not _writes_mp4():
        numbers = itertools.count()
        yield lambda frame: write_image(path.with_suffix("") / f"{next(numbers):06d}.jpg", frame)
        return
    writer = cv2.VideoWriter()

    written = 0

    def write(frame: np.ndarray) -> None:
        nonlocal written
        if not writer.isOpened():  # the first frame tells the size
            writer.open(str(temporary), _MP4, fps if fps > 0 else 25.0, frame.shape[1::-1])
        writer.write(frame)
        written += 1

    with replacing(path) as temporary:
        try:
            yield write
        finally:
            writer.release()
        if written and mmcv.VideoReader(str(temporary)).frame_cnt != written:  # of a full disk, OpenCV tells nothing
            raise RunFailed(f"{path} could not be written whole: is there room on the disk?")


def _writes_mp4() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        writer = cv2.VideoWriter(str(Path(folder, "probe.mp4")), _MP4, 25.0, (64, 64))
        opened = writer.isOpened()
        writer.release()
    return opened
