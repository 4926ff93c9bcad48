"""How the gradients of several parts of a run go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rgacli.analysis.gradients.probes import ANGLE, CALLED, SUM, SUM_OF_NORMS, Probes
from rgacli.analysis.intervals import UNKNOWN
from rgacli.analysis.steadiness import mean_of_blocks, rise

PART = 0.2
"""Of a training, what is early at its beginning, and late at its end."""


@dataclass(frozen=True)
class Row:
    """What several parts of one run send into the weight; means over all probes.

    Attributes:
        run: The run's name.
        compared: "R-CNN heads" or "box and mask branch".
        probes: How often it was measured.
        norms: Of each part.
        sum, sum_of_norms: The norm of their vector sum, and the sum of their norms.
        ratio, ratio_low, ratio_high: The one by the other, with its 95 % interval: 1 is of vectors of one direction.
        at_right_angles: What it would be of vectors as long that have nothing to do with each other.
        below: Share of the probes in which the norm of the sum is below the sum of the norms.
        angle, angle_low, angle_high: Between them, in degrees, of more than two the mean over pairs.
        change, change_low, change_high: How much larger the angle is in the last fifth of a training than in the
            first; NaN of a checkpoint.
    """

    run: str
    compared: str
    probes: int
    norms: Mapping[str, float]
    sum: float
    sum_of_norms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    at_right_angles: float
    below: float
    angle: float
    angle_low: float
    angle_high: float
    change: float
    change_low: float
    change_high: float


def row_of(probes: Probes, group: str, measured: bool) -> Row:
    """Return what the parts of a group have in common; measured ones, at a checkpoint, do not change."""
    values, parts = probes.of(group), probes.parts(group)
    norms = np.array([values[part] for part in parts])
    total, angle = values[SUM_OF_NORMS], values.get(ANGLE, np.full(len(probes.places), np.nan))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = values[SUM] / total
        right = np.sqrt(np.square(norms).sum(axis=0)) / total
    count = max(1, round(PART * len(angle)))
    change = UNKNOWN if measured else rise(angle[:count], angle[-count:])
    known = ~np.isnan(ratios)
    return Row(
        run=probes.name,
        compared=CALLED[group],
        probes=len(probes.places),
        norms=dict(zip(parts, map(_mean, norms), strict=True)),
        sum=_mean(values[SUM]),
        sum_of_norms=_mean(total),
        **mean_of_blocks(ratios).named("ratio"),
        at_right_angles=_mean(right),
        below=float((ratios[known] < 1 - 1e-9).mean()) if known.any() else np.nan,
        **mean_of_blocks(angle).named("angle"),
        **change.named("change"),
    )


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan
