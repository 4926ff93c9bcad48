"""What every figure shares: a canvas that needs no display, and saving beside the numbers drawn."""

from __future__ import annotations

import csv
import errno
import math
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgacli.analysis import style
from rgacli.analysis.intervals import FEW_IMAGES
from rgacli.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 200


def canvas(rows: int, columns: int, *, panel: tuple[float, float], **options: Any) -> tuple[Figure, np.ndarray]:
    """Return an empty figure of panels in the current style, and its axes (rows, columns).

    Args:
        rows, columns: Of panels.
        panel: Width and height of one panel, in inches at text of 10 points.
        options: Passed on to matplotlib's `Figure.subplots`, such as sharex.
    """
    # Without pyplot there is no window system to find and no global figure to close.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    chosen = style.current()
    width, height = (chosen.scale * side for side in panel)
    with rc_context(chosen.settings):
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def panels(count: int, *, panel: tuple[float, float], **options: Any) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of so many panels, in as many rows as the current style's width asks for.

    Args:
        count: Of panels, at least 1.
        panel, options: As for `canvas`.
    """
    chosen = style.current()
    columns = max(1, min(count, int(chosen.width / (chosen.scale * panel[0]))))
    figure, axes = canvas(math.ceil(count / columns), columns, panel=panel, **options)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def plain_legend(owner: Axes | Figure, **options: Any) -> None:
    """Add a legend in the current style, of the labels as they are: a "$" in a user's name would start a formula."""
    from matplotlib import rc_context

    with rc_context(style.current().settings):
        legend = owner.legend(**options)
    for text in legend.get_texts():
        text.set_parse_math(False)


def legend_above(figure: Figure, looks: Iterable[tuple[str, style.Look]]) -> None:
    """Add one legend for all panels, above them, in as many columns as there is room for.

    Args:
        figure: Its panels are drawn.
        looks: Names, `abbreviated` where they are a user's, and how they are drawn.
    """
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=look.color, linestyle=look.dashes, marker=look.marker, markersize=5, label=name)
        for name, look in looks
    ]
    room = figure.get_figwidth() / (0.075 * style.current().scale)  # in letters
    widths = [len(line.get_label()) + 7 for line in lines]  # the line and the gap beside it
    columns = len(lines) if sum(widths) <= room else max(1, int(room / max(widths)))
    plain_legend(figure, handles=lines, loc="outside upper center", ncols=columns)


def shift(index: int, count: int, step: float) -> float:
    """Return how far from its tick one of several things stands that share it, side by side."""
    return (index - (count - 1) / 2) * step


def bin_ticks(axis: Axes, images: Mapping[str, int]) -> None:
    """Name bins of objects at 0, 1, … on the x axis, with their numbers of images, saying which are too few."""
    names = [f"{label}\n({number})" + "\nfew" * (number < FEW_IMAGES) for label, number in images.items()]
    axis.set_xlim(-0.5, len(names) - 0.5)
    axis.set_xticks(range(len(names)), names)
    if len(names) > 6:
        axis.tick_params(axis="x", labelsize="x-small")
    few = "\nfew: too few images to tell" if min(images.values(), default=FEW_IMAGES) < FEW_IMAGES else ""
    axis.set_xlabel(f"objects in the image (number of images){few}")


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
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = str(folder)  # and not the temporary file's
        raise


def save(figure: Figure, path: Path | str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Save a figure as PNG and in the style's vector format, and beside it the numbers that it was drawn from, as CSV.

    Args:
        figure: What to save.
        path: The PNG; the others have its name.
        rows: At least one; all with the keys of the first, which head the columns.

    Returns:
        The vector file.
    """
    path = Path(path)
    chosen = style.current()
    vector = path.with_suffix(f".{chosen.vector}")
    with replacing(path) as raster, replacing(vector) as drawing:
        write(figure, raster, "png")
        figure.set_layout_engine("none")  # the same places, not found anew
        write(figure, drawing, chosen.vector)
    with replacing(path.with_suffix(".csv")) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return vector


def write(figure: Figure, target: Any, kind: str) -> None:
    """Write a figure that was drawn in the current style to a path or a binary file, as "png", "svg" or "pdf"."""
    from matplotlib import rc_context

    dateless = {} if kind == "png" else {"metadata": {"Date" if kind == "svg" else "CreationDate": None}}
    with rc_context(style.current().settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # browsers find other fonts for SVGs
        if layout := figure.get_layout_engine():
            layout.execute(figure)  # once more than on saving: another height may want other ticks
        figure.savefig(target, format=kind, dpi=_DPI, **dateless)
