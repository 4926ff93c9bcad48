"""What every figure shares: a canvas that needs no display, one palette, and saving beside the numbers drawn."""

from __future__ import annotations

import csv
import errno
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgacli.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart under the common colour blindnesses; its yellow is too light for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def canvas(rows: int, columns: int, *, panel: tuple[float, float], **options: Any) -> tuple[Figure, np.ndarray]:
    """Return an empty figure of panels, and its axes (rows, columns).

    Args:
        rows, columns: Of panels.
        panel: Width and height of one panel, in inches.
        options: Passed on to matplotlib's `Figure.subplots`, such as sharex.
    """
    # Without pyplot there is no window system to find and no global figure to close.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * panel[0], rows * panel[1]), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="0.9", linewidth=0.8)
        axis.set_axisbelow(True)
    return figure, axes


def abbreviated(name: str) -> str:
    """Return a name as an axis has room for; the CSV has it whole."""
    return name if len(name) <= 30 else f"{name[:14]}…{name[-15:]}"


def require_place(path: Path) -> None:
    """Make sure that a figure can be saved at `path`, before long work that would be lost without; make nothing.

    Raises:
        OSError: it cannot.
    """
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, "it is no folder", str(folder))
    if path.is_dir():
        raise FileExistsError(errno.EEXIST, "it is a folder", str(path))
    with tempfile.TemporaryFile(dir=folder):
        pass


def save(figure: Figure, path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Save a figure as PNG, and the numbers that it was drawn from beside it, with suffix .csv; both atomically.

    Args:
        figure: What to save.
        path: The PNG.
        rows: At least one; all with the keys of the first, which head the columns.
    """
    path = Path(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=200)
    with replacing(path.with_suffix(".csv")) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
