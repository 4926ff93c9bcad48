"""Errors of counts, the scores that count right, and how these differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rgacli.analysis import per_bin
from rgacli.analysis.count_error.right_score import Right, percentiles
from rgacli.analysis.intervals import ratio


@dataclass(frozen=True)
class Row:
    """One set of detections on the images of one bin.

    Attributes:
        name: A head's ("1:9", "ensemble", or "RUN 1:9" of several runs), or whatever a user calls the detections.
        bin: The bin's label, or "all".
        images: Number of images.
        objects: Number of non-crowd objects in them.
        detections: Number of detections of at least the score that is looked at.
        error, error_low, error_high: Detections minus objects per image, and its 95 % interval over images; below 0
            objects are missing.
        off: Mean absolute error of an image's count.
        right_score, right_low, right_high: The score from which on there are as many detections as objects in all
            these images, and its 95 % bootstrap interval; NaN where there are never as many.
        right_off: Mean absolute error of an image's count from that score on.
    """

    name: str
    bin: str
    images: int
    objects: int
    detections: int
    error: float
    error_low: float
    error_high: float
    off: float
    right_score: float
    right_low: float
    right_high: float
    right_off: float


@dataclass(frozen=True)
class Point:
    """The count's error from one score on.

    Attributes:
        name, bin: As a Row's.
        score: The least of the detections that are counted.
        error, low, high: Detections minus objects, as a share of the objects, and its 95 % interval over images.
    """

    name: str
    bin: str
    score: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Contrast:
    """How two right scores differ: of two heads on the same images, or of one head in two bins.

    Attributes:
        first, second: Names.
        first_bin, second_bin: Labels.
        value, low, high: The first's right score minus the second's, and its 95 % bootstrap interval.
    """

    first: str
    first_bin: str
    second: str
    second_bin: str
    value: float
    low: float
    high: float


def row_of(
    name: str,
    label: str,
    score: float,
    scores: np.ndarray,
    owners: np.ndarray,
    images: np.ndarray,
    objects: np.ndarray,
    right: Right,
) -> Row:
    """Return what is found on a bin's images.

    Args:
        name, label: Of the detections, and of the bin.
        score: The least of the detections that are counted.
        scores, owners: Of the detections: their scores and images, as indices.
        images: Which images.
        objects: Of each image, their number.
        right: Their right score.
    """

    def errors(least: float) -> np.ndarray:
        return (np.bincount(owners[scores >= least], minlength=len(objects)) - objects)[images]

    def off(least: float) -> float:
        return float(np.abs(errors(least)).mean()) if len(images) and not math.isnan(least) else math.nan

    own, total = errors(score), int(objects[images].sum())
    estimate = ratio(own, np.ones(len(images)))
    ends = percentiles(right.samples)
    return Row(
        name, label, len(images), total, int(own.sum()) + total, *estimate, off(score), right.value, *ends,
        off(right.value),
    )  # fmt: skip


def curve_of(name: str, label: str, scores: np.ndarray, numbers: np.ndarray, objects: np.ndarray) -> list[Point]:
    """Return the error of the counts (images, S) from each of these scores (S,) on."""
    estimates = (ratio(number - objects, objects) for number in numbers.T)
    return [Point(name, label, float(score), *estimate) for score, estimate in zip(scores, estimates, strict=True)]


def contrasts_of(
    found: Mapping[tuple[str, str], Right], names: Sequence[str], groups: Mapping[str, np.ndarray]
) -> list[Contrast]:
    """Return how right scores differ: of each head in the outermost bins, and of two heads in each.

    Args:
        found: Name and bin -> right score; samples are of the same images in all of a bin's.
        names: Of the detections.
        groups: As `per_bin.groups` returns them.
    """
    bins = per_bin.told(list(groups), {label: len(images) for label, images in groups.items()})
    compared = [(name, bins[-1], name, bins[0]) for name in names if len(bins) > 1]
    compared += [(first, label, second, label) for first, second in per_bin.pairs(names) for label in groups]
    contrasts = []
    for first, first_bin, second, second_bin in compared:
        own, other = found[first, first_bin], found[second, second_bin]
        ends = percentiles(own.samples - other.samples)
        contrasts.append(Contrast(first, first_bin, second, second_bin, own.value - other.value, *ends))
    return contrasts
