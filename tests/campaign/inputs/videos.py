"""Videos: damaged, empty, of odd sizes, and what is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import Case
from tests.campaign.inputs.materials import Materials


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    file = folder / f"film{random.choice(('.mp4', '.avi', '.mov', '.mkv', '.webm'))}"
    content = film(64, 48, 6)
    ways: dict[str, Callable[[], bytes | None]] = {
        "sound": lambda: content,
        "cut short": lambda: mutations.cut(random, content),
        "bits flipped": lambda: mutations.flipped(random, content, random.choice((1, 20, 300))),
        "bits flipped in its header": lambda: mutations.flipped(random, content[:500], 8) + content[500:],
        "bits flipped in its index": lambda: content[:-400] + mutations.flipped(random, content[-400:], 8),
        "empty": lambda: b"",
        "a text": lambda: b"This is no film.\n" * 50,
        "chance bytes": lambda: random.randbytes(5000),
        "NULs": lambda: bytes(5000),
        "a header alone": lambda: content[:36],
        "without a frame": lambda: film(64, 48, 0),
        "of one frame": lambda: film(64, 48, 1),
        "of 2x2 pixels": lambda: film(2, 2, 3),
        "of 16x2000 pixels": lambda: film(16, 2000, 2),
        "of 2000x16 pixels": lambda: film(2000, 16, 2),
        "of 65x49 pixels": lambda: film(65, 49, 2),
        "an image": lambda: (materials.dataset / "images/val/000001.jpg").read_bytes(),
        "a playlist": lambda: b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "a list of files": lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "a FIFO": lambda: os.mkfifo(file),
        "a folder": lambda: file.mkdir(),
        "a link to itself": lambda: file.symlink_to(file.name),
        "a link to /dev/zero": lambda: file.symlink_to("/dev/zero"),
    }
    what = random.choice(list(ways))
    made = ways[what]()
    if made is not None:
        file.write_bytes(made)
    others = [materials.dataset / "images/val/000001.jpg"] * (random.random() < 0.2)
    options = random.choice([(), (), ("--tiles", 32), ("--side-by-side",), ("--head", "all"), ("--score", 0)])
    arguments = ("predict", file, *others, "--run", materials.run, "--out", "out", "--device", "cpu", *options)
    return Case(what, arguments, wrong=what in _NONE and not others)


_NONE = (
    "empty",
    "a text",
    "chance bytes",
    "NULs",
    "a header alone",
    "without a frame",
    "a FIFO",
    "a folder",
    "a link to itself",
    "a link to /dev/zero",
    "a playlist",
    "a list of files",
)


@cache
def film(width: int, height: int, frames: int) -> bytes:
    """Return a film of moving noise."""
    import cv2
    import numpy as np

    with TemporaryDirectory() as folder:
        file = os.path.join(folder, "film.mp4")
        writer = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (width, height))
        noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        for index in range(frames):
            writer.write(np.roll(noise, index, axis=1))
        writer.release()
        return Path(file).read_bytes() if os.path.isfile(file) else b""
