"""AP on each bin, alone and against a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rgacli.analysis.gt_bins.compared import Compared
from rgacli.analysis.intervals import FEW_IMAGES, UNKNOWN, Estimate, estimate_of
from rgacli.evaluation.coco_metrics import Evaluation, difference, interval
from rgacli.evaluation.gt_bins import ALL, GTBin, assign


@dataclass(frozen=True)
class Row:
    """One set of detections on the images of one bin.

    Attributes:
        name, run, head, place, line: As `rgacli.analysis.gt_bins.compared.Compared` has them.
        bin: The bin's label, or "all".
        images: Number of images.
        objects: Number of non-crowd objects in them.
        AP, AP50, AP75: COCO's, in [0, 1]; NaN where there are no objects.
        AP_low, AP_high: AP's 95 % interval; NaN where unknown.
        difference: AP less the baseline's on the same images; NaN where unknown, and of the baseline itself.
        difference_low, difference_high: Its 95 % interval, in which both see the same resampled images.
    """

    name: str
    run: str
    head: str
    place: str
    line: str
    bin: str
    images: int
    objects: int
    AP: float
    AP50: float
    AP75: float
    AP_low: float
    AP_high: float
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan

    @property
    def is_few(self) -> bool:
        """Whether its images are too few to tell anything."""
        return self.images < FEW_IMAGES

    @property
    def gain(self) -> Estimate:
        """The difference with its interval."""
        return estimate_of(self, "difference")


def rows_of(
    one: Compared,
    evaluation: Evaluation,
    reference: Evaluation | None,
    bins: Sequence[GTBin],
    bootstrap: int,
    seed: int,
) -> list[Row]:
    """Return a row of all images, and one of each bin.

    Args:
        one, evaluation: The detections.
        reference: The baseline's; None of the baseline itself.
        bins: Bins that do not overlap.
        bootstrap, seed: As `coco_metrics.difference` takes them.
    """
    counts = evaluation.gt_counts
    groups = {ALL: list(counts), **assign(counts, bins)}
    metrics = {ALL: evaluation.overall, **evaluation.by_bin(bins)}
    rows = []
    for label, images in groups.items():
        objects = sum(counts[image] for image in images)
        values = [metrics[label][key] for key in ("AP", "AP50", "AP75")]
        alone = interval(evaluation, images, samples=bootstrap, seed=seed)
        paired = UNKNOWN
        if reference is not None:
            paired = difference(reference, evaluation, images, samples=bootstrap, seed=seed)
        rows.append(Row(*asdict(one).values(), label, len(images), objects, *values, *alone, *paired))
    return rows
