"""Precision over recall, of every head: a panel each, the mean over classes and the classes behind it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rgacli.analysis import figures, style
from rgacli.evaluation.coco_metrics import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEAN = "mean over classes"

_IOU = {0.5: 0, 0.75: 5}  # -> index among COCO's thresholds


@dataclass(frozen=True)
class Curve:
    """Precision at COCO's 101 recalls, 0 to 1.

    Attributes:
        head: Whose detections.
        name: The class, or MEAN.
        iou: At which a detection is true.
        precision: (101,) the highest at this recall or beyond; 0 where the recall is not reached.
    """

    head: str
    name: str
    iou: float
    precision: np.ndarray


def collect(evaluations: Mapping[str, Evaluation]) -> list[Curve]:
    """Return the curves of each head's boxes: the mean at IoU 0.5 and 0.75, and each class that has objects at 0.5."""
    curves = []
    for head, evaluation in evaluations.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of no class at all that has objects: NaN
            mean = np.nanmean(evaluation.precision, axis=2)
        curves += [Curve(head, MEAN, iou, mean[index]) for iou, index in _IOU.items()]
        for name, precision in zip(evaluation.classes, evaluation.precision[_IOU[0.5]].T, strict=True):
            if not math.isnan(precision[0]):
                curves.append(Curve(head, name, 0.5, precision))
    return curves


def plot(curves: Sequence[Curve], path: Path | str) -> None:
    """Draw a panel per head.

    Args:
        curves: As `collect` returns them.
        path: The PNG; the points drawn are saved as CSV beside it.
    """
    heads = list(dict.fromkeys(curve.head for curve in curves))
    figure, axes = figures.panels(len(heads), panel=(3.6, 3.6))
    for axis, head in zip(axes, heads, strict=True):
        _draw(axis, [curve for curve in curves if curve.head == head])
        axis.set_title(figures.abbreviated(head), fontsize="medium", parse_math=False)
    figure.supxlabel("recall", fontsize="medium")
    figure.supylabel("precision", fontsize="medium")
    figures.save(figure, path, [row for curve in curves for row in _rows(curve)])


def _draw(axis: Axes, curves: Sequence[Curve]) -> None:
    classes = [curve for curve in curves if curve.name != MEAN]
    told_apart = 1 < len(classes) <= len(style.current().palette)
    for index, curve in enumerate(classes):
        if told_apart:
            axis.plot(*_points(curve), color=style.color(index), linewidth=1.2, label=_label(curve))
        else:
            axis.plot(*_points(curve), color=style.current().muted, alpha=0.5, linewidth=0.6)
    for curve, line in zip((curve for curve in curves if curve.name == MEAN), ("-", "--"), strict=True):
        axis.plot(*_points(curve), line, color=style.current().ink, linewidth=1.8, label=_label(curve))
    axis.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    figures.plain_legend(axis, fontsize="x-small", loc="best")


def _label(curve: Curve) -> str:
    return f"{figures.abbreviated(curve.name)}, AP{100 * curve.iou:.0f} {curve.precision.mean():.3f}"


def _points(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    return np.linspace(0, 1, len(curve.precision)), curve.precision


def _rows(curve: Curve) -> Iterator[dict[str, Any]]:
    for recall, precision in zip(*_points(curve), strict=True):
        yield {
            "head": curve.head,
            "class": curve.name,
            "iou": curve.iou,
            "recall": round(float(recall), 2),
            "precision": float(precision),
        }
