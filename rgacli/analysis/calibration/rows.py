"""What scores promise and what turns out to be right: rows, points and contrasts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.analysis import per_bin
from rgacli.analysis.intervals import ratio

INTERVALS = 10  # of scores


@dataclass(frozen=True)
class Row:
    """One set of detections on the images of one bin; only detections that are kept count.

    Attributes:
        name: A head's ("1:9", "ensemble", or "RUN 1:9" of several runs), or whatever a user calls the detections.
        bin: The bin's label, or "all".
        images: Number of images.
        detections: Number of detections that count.
        confidence: Their mean score.
        accuracy: The share of them that are right: of the right class, at IoU 0.5 with an object not found yet.
        bias, bias_low, bias_high: Confidence minus accuracy and its 95 % interval over images; above 0 scores promise
            too much.
        ECE: Expected calibration error: the mean distance of confidence and accuracy, over ten intervals of scores.
    """

    name: str
    bin: str
    images: int
    detections: int
    confidence: float
    accuracy: float
    bias: float
    bias_low: float
    bias_high: float
    ECE: float


@dataclass(frozen=True)
class Point:
    """The detections whose scores are in one interval: one point of a reliability diagram.

    Attributes:
        name, bin: As a Row's.
        low, high: The interval's ends.
        confidence: Mean score.
        accuracy: The share that are right.
        detections: Their number.
    """

    name: str
    bin: str
    low: float
    high: float
    confidence: float
    accuracy: float
    detections: int


@dataclass(frozen=True)
class Contrast:
    """How the bias of two sets of detections differs on the same images.

    Attributes:
        first, second: Their names.
        bin: The bin's label, or "all".
        value, low, high: Bias of the first minus that of the second, with its 95 % interval over images.
    """

    first: str
    second: str
    bin: str
    value: float
    low: float
    high: float


def row_of(
    name: str,
    label: str,
    images: np.ndarray,
    number: np.ndarray,
    promised: np.ndarray,
    kept: np.ndarray,
    errors: tuple[float, float],
) -> Row:
    """Return what is found on a bin's images.

    Args:
        name, label: Of the detections, and of the bin.
        images: Which images.
        number, promised, kept: Of each image, its detections, the sum of their scores, and how many are right.
        errors: hotcoco's calibration errors of the detections on these images, the expected one first.
    """
    number, promised, kept = (each[images] for each in (number, promised, kept))
    total = int(number.sum())
    confidence, accuracy, error = (
        (float(value) for value in (promised.sum() / total, kept.sum() / total, errors[0])) if total else [math.nan] * 3
    )
    return Row(name, label, len(images), total, confidence, accuracy, *ratio(promised - kept, number), error)


def point_of(name: str, label: str, found: Mapping[str, Any]) -> Point:
    """Return a point of a reliability diagram, as hotcoco has it."""
    ends = found["bin_lower"], found["bin_upper"]
    return Point(name, label, *ends, found["avg_confidence"], found["avg_accuracy"], found["count"])


def contrasts_of(sums: Mapping[str, tuple[np.ndarray, np.ndarray]], groups: Mapping[str, np.ndarray]) -> list[Contrast]:
    """Return how the biases of each two that are compared differ, on all images and on each bin.

    Args:
        sums: Name -> of each image, what its scores promise too much in all, and its number of detections.
        groups: As `per_bin.groups` returns them.
    """
    contrasts = []
    for first, second in per_bin.pairs(list(sums)):
        for label, images in groups.items():
            found = per_bin.difference(*(each[images] for name in (first, second) for each in sums[name]))
            contrasts.append(Contrast(first, second, label, *found))
    return contrasts
