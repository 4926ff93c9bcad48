"""Errors of detections by their kind, and how two sets of detections differ in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.analysis import per_bin
from rgacli.analysis.intervals import Estimate, ratio
from rgacli.evaluation.tide import ERRORS


@dataclass(frozen=True)
class Row:
    """One error of one set of detections on the images of one bin.

    Attributes:
        name: A head's ("1:9", "ensemble", or "RUN 1:9" of several runs), or whatever a user calls the detections.
        bin: The bin's label, or "all".
        images: Number of images.
        objects: Number of non-crowd objects in them.
        AP50: Of all detections, in [0, 1]; NaN where there are no objects.
        error: TIDE's name of it, of `rgacli.evaluation.tide.ERRORS`.
        costs: What AP50 would gain if these errors were mended and no others, by all detections (TIDE's ΔAP).
        count: How many there are among detections of at least the score that is looked at.
        rate, low, high: The same per 100 objects, and its 95 % interval over images.
    """

    name: str
    bin: str
    images: int
    objects: int
    AP50: float
    error: str
    costs: float
    count: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Contrast:
    """How two sets of detections differ in an error, on the same images.

    Attributes:
        first, second: Their names.
        bin: The bin's label, or "all".
        error: TIDE's name of it.
        value, low, high: Errors per 100 objects, the first's minus the second's, and the 95 % interval over images.
    """

    first: str
    second: str
    bin: str
    error: str
    value: float
    low: float
    high: float


def rows_of(name: str, label: str, objects: np.ndarray, counts: np.ndarray, tide: Mapping[str, Any]) -> list[Row]:
    """Return what each error costs, and how often it is made, of images that these objects and errors are on."""
    known = objects.sum() > 0
    return [
        Row(
            name=name,
            bin=label,
            images=len(objects),
            objects=int(objects.sum()),
            AP50=tide["ap_base"] if known else math.nan,
            error=error,
            costs=tide["delta_ap"][error] if known else math.nan,
            count=int(own.sum()),
            **dict(zip(("rate", "low", "high"), _per_hundred(ratio(own, objects, within=(0, math.inf))), strict=True)),
        )
        for error, own in zip(ERRORS, counts.T, strict=True)
    ]


def contrasts_of(
    counted: Mapping[str, np.ndarray], objects: np.ndarray, groups: Mapping[str, np.ndarray]
) -> list[Contrast]:
    """Return how each two that are compared differ in each error, on all images and on each bin.

    Args:
        counted: Name -> how many errors of each kind each image has: (images, errors).
        objects: Of each image, their number.
        groups: As `per_bin.groups` returns them.
    """
    contrasts = []
    for first, second in per_bin.pairs(list(counted)):
        for label, images in groups.items():
            own = objects[images]
            for error, parts, others in zip(ERRORS, counted[first][images].T, counted[second][images].T, strict=True):
                found = _per_hundred(per_bin.difference(parts, own, others, own))
                contrasts.append(Contrast(first, second, label, error, *found))
    return contrasts


def _per_hundred(estimate: Estimate) -> Estimate:
    return Estimate(*(100 * value for value in estimate))
