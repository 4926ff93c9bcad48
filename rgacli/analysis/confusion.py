"""What every head takes for what: a confusion matrix each, of classes and background."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rgacli.analysis import figures
from rgacli.evaluation.coco_metrics import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BACKGROUND = "background"

_MOST_DRAWN = 80  # classes
_MOST_NUMBERED = 12


def plot(evaluations: Mapping[str, Evaluation], score: float, path: Path | str) -> None:
    """Draw a panel per head: rows are true classes, columns those found; colours are shares of a row.

    Of more than 80 classes those with the most errors are drawn. The CSV beside the PNG has all pairs that occur.

    Args:
        evaluations: Head -> its boxes, evaluated.
        score: The least of the detections that count, in [0, 1].
        path: The PNG.
    """
    matrices = {head: evaluation.confusion(score) for head, evaluation in evaluations.items()}
    classes = next(iter(evaluations.values())).classes
    drawn = _most_confused(sum(matrices.values()))
    names = [*classes, BACKGROUND]
    side = max(3.4, 1.4 + (0.32 if len(drawn) <= _MOST_NUMBERED + 1 else 0.16) * len(drawn))
    figure, axes = figures.panels(len(matrices), panel=(side, side))
    for axis, (head, matrix) in zip(axes, matrices.items(), strict=True):
        _draw(axis, _shares(matrix)[np.ix_(drawn, drawn)], matrix[np.ix_(drawn, drawn)], [names[i] for i in drawn])
        axis.set_title(figures.abbreviated(head), fontsize="medium", parse_math=False)
    figure.supxlabel(f"found, with a score of at least {score:g}", fontsize="medium")
    figure.supylabel("true", fontsize="medium")
    figures.save(figure, path, _rows(matrices, names))


def _draw(axis: Axes, shares: np.ndarray, counts: np.ndarray, names: list[str]) -> None:
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
    axis.grid(visible=False)
    size = "small" if len(names) <= 2 * _MOST_NUMBERED else "xx-small"
    shown = [figures.abbreviated(name) for name in names]
    axis.set_xticks(range(len(names)), shown, rotation=90, fontsize=size, parse_math=False)
    axis.set_yticks(range(len(names)), shown, fontsize=size, parse_math=False)
    if len(names) <= _MOST_NUMBERED + 1:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, str(count), ha="center", va="center", color=ink, fontsize="small")


def _most_confused(matrix: np.ndarray) -> np.ndarray:
    """Return the indices that are drawn, background last."""
    classes = len(matrix) - 1
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    worst = np.argsort(-errors[:classes], kind="stable")[:_MOST_DRAWN]
    return np.append(np.sort(worst), classes)


def _shares(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _rows(matrices: Mapping[str, np.ndarray], names: list[str]) -> list[dict[str, Any]]:
    rows = []
    for head, matrix in matrices.items():
        shares = _shares(matrix)
        for row, column in np.argwhere(matrix):
            count, share = int(matrix[row, column]), float(shares[row, column])
            rows.append({"head": head, "true": names[row], "found": names[column], "count": count, "share": share})
    return rows
