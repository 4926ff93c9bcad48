"""Dispatch: weighing the heads' logits by how many objects an image seems to have (paper, Sec. 3.2's ideal).

The number is that of the ensemble's detections above a threshold. Each bin of it has a tilt, by which the
logits are weighted toward heads trained with more or with fewer positives (`ensembling.tilted_weights`). The threshold
and one tilt per bin are all its parameters; they are calibrated on another split than the one evaluated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.ensembles.fusion import Results, select
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.result_arrays import ResultArrays
from rgacli.method import ENSEMBLE

_THRESHOLDS = np.linspace(0.05, 0.95, 19).round(2).tolist()


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found.

    Attributes:
        threshold: Detections of at least this score count as objects.
        count_error: Mean absolute error of that count over the images it was calibrated on.
        variants: Bin label -> the variant that images take whose count lies in it. Images in none take the ensemble.
        calibrated_on: Annotation file of the calibration split.
    """

    threshold: float
    count_error: float
    variants: dict[str, str]
    calibrated_on: str


def calibrate(
    annotations: Mapping[str, Any],
    found: Mapping[str, Results],
    bins: Sequence[GTBin],
    *,
    calibrated_on: str = "",
    max_dets: int | None = None,
) -> Calibration:
    """Choose the threshold whose counts are nearest to the true ones, then each bin's variant by AP on its images.

    Args:
        annotations: A COCO dict of the calibration split.
        found: Variant -> its detections there: ENSEMBLE's and the tilts'. A bin leaves ENSEMBLE only for a higher AP.
        bins: Bins that do not overlap.
        calibrated_on: File of the annotations.
        max_dets: How many detections of an image count; None for `max_dets_for`'s number.
    """
    evaluations = {name: evaluate(annotations, detections, max_dets=max_dets) for name, detections in found.items()}
    truth = evaluations[ENSEMBLE].gt_counts
    errors = {}
    for threshold in _THRESHOLDS:
        counts = estimate_counts(found[ENSEMBLE], truth, threshold)
        errors[threshold] = float(np.mean([abs(counts[image] - number) for image, number in truth.items()]))
    threshold = min(errors, key=errors.__getitem__)
    counts = estimate_counts(found[ENSEMBLE], truth, threshold)
    variants = {}
    for gt_bin in bins:
        images = [image for image, count in counts.items() if count in gt_bin]
        scores = {variant: evaluation.on({"": images})[""]["AP"] for variant, evaluation in evaluations.items()}
        variants[gt_bin.label] = max(scores, key=lambda variant: (_or_zero(scores[variant]), variant == ENSEMBLE))
    return Calibration(threshold, errors[threshold], variants, calibrated_on)


def dispatch(
    found: Mapping[str, Results], images: Sequence[int], bins: Sequence[GTBin], calibration: Calibration
) -> ResultArrays:
    """Return each image's detections by the variant of the bin that its estimated count lies in.

    The images' annotations are not looked at.

    Args:
        found: Variant -> detections of the split that is evaluated, ENSEMBLE among them.
        images: Ids of its images.
        bins: As for `calibrate`.
        calibration: From another split.
    """
    counts = estimate_counts(found[ENSEMBLE], images, calibration.threshold)
    names = dict.fromkeys(images, ENSEMBLE)
    for gt_bin in bins:
        variant = calibration.variants[gt_bin.label]
        names |= {image: variant for image, count in counts.items() if count in gt_bin}
    return select(found, names)


def estimate_counts(detections: Results, images: Sequence[int] | Mapping[int, Any], threshold: float) -> dict[int, int]:
    """Return image id -> number of its detections of at least this score."""
    counts = Counter(detection["image_id"] for detection in detections if detection["score"] >= threshold)
    return {image: counts[image] for image in images}


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else value
