"""Images: damaged, of other kinds than JPEG in RGB, of sizes that bite, and what is no image at all."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.campaign.inputs import mutations
from tests.campaign.inputs.case import Case
from tests.campaign.inputs.materials import Materials
from tests.cli.commands import TINY

Put = Callable[[Random, Path, bytes], None]


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case."""
    data = materials.copy_of(materials.dataset, folder)
    file = data / "images/train/000001.jpg"
    split = "train"
    command = random.choices(("check", "predict", "folder", "train", "eval"), (6, 4, 2, 2, 2))[0]
    if command == "eval":
        file, split = data / "images/val/000001.jpg", "val"
    content = file.read_bytes()
    file.unlink()
    unreadable = random.random() < 0.6
    kinds = _UNREADABLE if unreadable else _READABLE
    what = random.choice(list(kinds))
    kinds[what](random, file, content)
    if not unreadable:
        _say_size(data / f"annotations/{split}.json", file)
    arguments = {
        "check": ("data", "check", data, "--split", split),
        "predict": ("predict", file, "--run", materials.run, "--out", "out", "--device", "cpu"),
        "folder": ("predict", file.parent, "--run", materials.run, "--out", "out", "--device", "cpu"),
        "train": ("train", "quickstart", "--data", data, "--epochs", 1, "--device", "cpu", *TINY),
        "eval": ("eval", _own(materials, command, folder), "--data", data, "--split", "val", "--device", "cpu"),
    }[command]
    certain = unreadable and what not in _MAYBE
    return Case(f"{what} ({command})", arguments, wrong=certain and command in ("check", "predict"))


def _own(materials: Materials, command: str, folder: Path) -> object:
    """Return the run; a copy of it where the command writes into it."""
    return materials.copy_of_run(folder) if command == "eval" else materials.run


def _say_size(annotations: Path, file: Path) -> None:
    """Write a readable image's size into the annotations."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(file) as image:
        width, height = image.size
    content = json.loads(annotations.read_text())
    for entry in content["images"]:
        if entry["file_name"] == file.name:
            entry.update(width=width, height=height)
    annotations.write_text(json.dumps(content))


def _bytes(change: Callable[[Random, bytes], bytes]) -> Put:
    return lambda random, file, content: file.write_bytes(change(random, content)) and None


def _jpeg(content: bytes):
    from PIL import Image

    return Image.open(io.BytesIO(content))


def _saved(mode: str, kind: str, **options) -> Put:
    def put(random: Random, file: Path, content: bytes) -> None:
        image = _jpeg(content)
        image = image.convert("L").convert(mode) if mode.startswith("I") or mode == "F" else image.convert(mode)
        image.save(file, kind, **options)

    return put


def _turned(orientation: int) -> Put:
    def put(random: Random, file: Path, content: bytes) -> None:
        image = _jpeg(content).crop((0, 0, 64, 40))
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(file, "JPEG", exif=exif)

    return put


def _sized(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> Put:
    def put(random: Random, file: Path, content: bytes) -> None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None
        Image.new(mode, (width, height)).save(file, kind)

    return put


def _animated(kind: str) -> Put:
    def put(random: Random, file: Path, content: bytes) -> None:
        image = _jpeg(content)
        image.save(file, kind, save_all=True, append_images=[image.rotate(90), image.rotate(180)])

    return put


def _png_that_says(width: int, height: int) -> bytes:
    """Return a PNG whose header tells a size, with a row of data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _bomb(width: int, height: int) -> Put:
    """A PNG of grey zeros, a thousandth of what it becomes."""

    def put(random: Random, file: Path, content: bytes) -> None:
        squeezed = zlib.compressobj(1)
        row = bytes(1 + width)
        data = b"".join([*(squeezed.compress(row * 100) for _ in range(height // 100)), squeezed.flush()])

        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))

    return put


def _link(target: str) -> Put:
    return lambda random, file, content: os.symlink(target, file)


def _loop(random: Random, file: Path, content: bytes) -> None:
    os.symlink(file.parent / "b.jpg", file)
    os.symlink(file, file.parent / "b.jpg")


def _loop_of_folders(random: Random, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    os.symlink(file.parent, file.parent / "again")


def _socket(random: Random, file: Path, content: bytes) -> None:
    home = os.open(file.parent, os.O_RDONLY)  # its own path may be too long for a socket's
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{home}/{file.name}")
    finally:
        os.close(home)


_UNREADABLE: dict[str, Put] = {
    "empty": _bytes(lambda random, content: b"") and (lambda random, file, content: file.touch()),
    "cut within its header": _bytes(lambda random, content: content[: random.randrange(1, 150)]),
    "a text": _bytes(lambda random, content: b"This is no image.\n" * 9),
    "HTML": _bytes(lambda random, content: b"<!DOCTYPE html><html><body>404</body></html>"),
    "SVG": _bytes(lambda random, content: b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>'),
    "chance bytes": _bytes(lambda random, content: random.randbytes(3000)),
    "NULs": _bytes(lambda random, content: bytes(len(content))),
    "of chance bytes after its magic": _bytes(lambda random, content: content[:4] + random.randbytes(2000)),
    "a PNG of 2^31 pixels a side by its header": _bytes(lambda random, content: _png_that_says(2**31 - 1, 2**31 - 1)),
    "a PNG of 60000x60000 by its header": _bytes(lambda random, content: _png_that_says(60000, 60000)),
    "a PNG of no pixels": _bytes(lambda random, content: _png_that_says(0, 0)),
    "a bomb of 40000x40000": _bomb(40000, 40000),
    "a link to nowhere": _link("nowhere.jpg"),
    "a link to itself": _link("000001.jpg"),
    "a loop of links": _loop,
    "a link to a folder": _link("."),
    "a link to /dev/zero": _link("/dev/zero"),
    "a link to /dev/null": _link("/dev/null"),
    "a folder": lambda random, file, content: file.mkdir(),
    "a FIFO": lambda random, file, content: os.mkfifo(file),
    "a socket": _socket,
    # What decoders may take or leave.
    "cut short": _bytes(lambda random, content: content[: random.randrange(len(content) // 2, len(content))]),
    "with bits flipped": _bytes(lambda random, content: mutations.flipped(random, content, 8)),
    "a bomb of 20000x20000": _bomb(20000, 20000),
}
_MAYBE = (
    "a link to a folder",
    "cut short",
    "with bits flipped",
    "a bomb of 20000x20000",
    "of chance bytes after its magic",
)
_READABLE: dict[str, Put] = {
    "CMYK": _saved("CMYK", "JPEG"),
    "grey": _saved("L", "JPEG"),
    "16 bits, PNG": _saved("I;16", "PNG"),
    "16 bits, TIFF": _saved("I;16", "TIFF"),
    "floats, TIFF": _saved("F", "TIFF"),
    "grey with alpha": _saved("LA", "PNG"),
    "RGBA": _saved("RGBA", "PNG"),
    "of a palette": _saved("P", "PNG"),
    "of a palette with transparency": _saved("P", "PNG", transparency=0),
    "black and white": _saved("1", "PNG"),
    "black and white, TIFF": _saved("1", "TIFF"),
    "progressive": _saved("RGB", "JPEG", progressive=True),
    "YCbCr, TIFF": _saved("YCbCr", "TIFF", compression="jpeg"),
    "a GIF": _saved("P", "GIF"),
    "WebP": _saved("RGB", "WEBP"),
    "BMP": _saved("RGB", "BMP"),
    "JPEG 2000": _saved("RGB", "JPEG2000"),
    "an icon": _saved("RGBA", "ICO"),
    "PPM": _saved("RGB", "PPM"),
    "an animated GIF": _animated("GIF"),
    "an animated PNG": _animated("PNG"),
    "an animated WebP": _animated("WEBP"),
    "a TIFF of pages": _animated("TIFF"),
    **{f"turned as {number}": _turned(number) for number in (0, 1, 3, 5, 6, 8, 9, 65535)},
    "of a pixel": _sized(1, 1),
    "of 1x3000 pixels": _sized(1, 3000),
    "of 3000x1 pixels": _sized(3000, 1),
    "of 65000x1 pixels": _sized(65000, 1, "JPEG"),
    "of 5000x4000 pixels": _sized(5000, 4000, "JPEG"),
    "with bytes behind it": _bytes(lambda random, content: content + random.randbytes(1000)),
    "in a loop of folders": _loop_of_folders,
}
