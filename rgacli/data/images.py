"""What image files tell before their pixels are decoded."""

from __future__ import annotations

from PIL import ExifTags, Image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) px as mmcv would load the image: turned as its EXIF data say."""
    width, height = image.size
    if image.format == "TIFF":  # of which some versions of Pillow tell the size after turning it
        width, height = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return (height, width) if image.getexif().get(ExifTags.Base.Orientation, 1) >= 5 else (width, height)
