"""Files in the place of drawn figures: drawing takes longer than a tiny training, and each analysis has tests of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

_VECTORS = {
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>',
    "pdf": "%PDF-1.4",
}


def sketch(figure: Any, target: Path, kind: str) -> None:
    """Write an empty picture, as `rgacli.analysis.figures.write` writes a figure."""
    if kind == "png":
        Image.new("L", (1, 1)).save(target, "PNG")
    else:
        target.write_text(_VECTORS[kind])
