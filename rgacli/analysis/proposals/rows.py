"""Positive proposals per image, and how they go with objects."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from rgacli.analysis.intervals import mean, pearson, ratio, spearman
from rgacli.evaluation.gt_bins import ALL, GTBin


class Record(TypedDict):
    """One test image."""

    image_id: int
    gt_count: int  # non-crowd ground-truth boxes
    proposals: int  # that the RPN passes on
    positives: int  # of those, with IoU >= 0.5 with any object


@dataclass(frozen=True)
class Counted:
    """What the RPN of one run's checkpoint finds.

    Attributes:
        run: The run's name.
        checkpoint: "epoch 4", "initial" (before the training), or what else its file is called.
        records: Of each image.
    """

    run: str
    checkpoint: str
    records: Sequence[Record]

    @property
    def epoch(self) -> int | None:
        """Epochs of training; None where its name does not say."""
        match = re.fullmatch(r"epoch (\d+)", self.checkpoint)
        return int(match[1]) if match else 0 if self.checkpoint == "initial" else None


@dataclass(frozen=True)
class Row:
    """The images of one bin; statistics over images, NaN where unknown. Intervals are 95 %.

    Attributes:
        run, checkpoint: As of `Counted`.
        bin: The bin's label, or "all": of all images that have objects; others have no positives anyway.
        images: Number of images.
        mean, mean_low, mean_high: Of the number of positive proposals.
        lower_quartile, median, upper_quartile: Of the same.
        share: Mean of positives / proposals, over the images that have proposals.
        per_object, per_object_low, per_object_high: Positive proposals to an object, over all of the images' objects.
        pearson, pearson_low, pearson_high: Correlation of the numbers of objects and of positive proposals.
        spearman, spearman_low, spearman_high: The same of their ranks.
    """

    run: str
    checkpoint: str
    bin: str
    images: int
    mean: float
    mean_low: float
    mean_high: float
    lower_quartile: float
    median: float
    upper_quartile: float
    share: float
    per_object: float
    per_object_low: float
    per_object_high: float
    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    spearman_low: float
    spearman_high: float


def label_of(record: Record, bins: Sequence[GTBin]) -> str:
    """Return the label of the bin that an image falls into; "" of none."""
    return next((gt_bin.label for gt_bin in bins if record["gt_count"] in gt_bin), "")


def rows_of(own: Counted, bins: Sequence[GTBin]) -> Iterator[Row]:
    """Yield a checkpoint's row of all images that have objects, and one of each bin."""
    groups: dict[str, list[Record]] = {ALL: [], **{gt_bin.label: [] for gt_bin in bins}}
    for record in own.records:
        if record["gt_count"]:
            groups[ALL].append(record)
        if label := label_of(record, bins):
            groups[label].append(record)
    for label, records in groups.items():
        yield _summary(own, label, records)


def _summary(own: Counted, label: str, records: Sequence[Record]) -> Row:
    positives = np.array([record["positives"] for record in records], dtype=float)
    objects = np.array([record["gt_count"] for record in records], dtype=float)
    shares = [record["positives"] / record["proposals"] for record in records if record["proposals"]]
    return Row(
        own.run,
        own.checkpoint,
        label,
        len(records),
        *mean(positives),
        *(np.quantile(positives, [0.25, 0.5, 0.75]).tolist() if len(records) else [math.nan] * 3),
        sum(shares) / len(shares) if shares else math.nan,
        *ratio(positives, objects),
        *pearson(objects, positives),
        *spearman(objects, positives),
    )
