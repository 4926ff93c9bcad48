"""Image files: which they are, and what they tell before their pixels are decoded."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of image files that can be read."""


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) px as mmcv would load the image: turned as its EXIF data say."""
    width, height = image.size
    if image.format == "TIFF":  # of which some versions of Pillow tell the size after turning it
        width, height = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return (height, width) if image.getexif().get(ExifTags.Base.Orientation, 1) >= 5 else (width, height)


def images_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return the image files in a folder, and with `deep` in those below it, in the order of their names."""
    found = sorted(folder.rglob("*") if deep else folder.iterdir())
    return [path for path in found if path.suffix.lower() in IMAGES and not path.name.startswith(".")]
