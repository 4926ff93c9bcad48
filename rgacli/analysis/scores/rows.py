"""What the heads' scores of the same boxes are, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rgacli.analysis.intervals import FEW_IMAGES, Estimate, estimate_of, ratio
from rgacli.analysis.scores.tally import (
    ImageScores,
    ScoreTally,
)
from rgacli.evaluation.gt_bins import ALL, GTBin

MIN_SCORE = 0.05
"""What a score has to reach in one head for an output to count: below it mmdet's detectors drop boxes on COCO."""
BY_CLASS, FOREGROUND = "class", "foreground"


@dataclass(frozen=True)
class HeadScores:
    """What one run's heads said of the same boxes.

    Attributes:
        run: Its name.
        heads: The heads' names, in the config's order.
        tallies: BY_CLASS and FOREGROUND -> what was counted of each.
    """

    run: str
    heads: Sequence[str]
    tallies: Mapping[str, ScoreTally]

    @property
    def by_class(self) -> ScoreTally:
        """What is shown: an output for each box and class."""
        return self.tallies[BY_CLASS]

    @property
    def pairs(self) -> list[tuple[str, ...]]:
        """Names of every two heads, the one with the more positives first."""
        return [tuple(self.heads[k] for k in pair) for pair in self.by_class.pairs]


@dataclass(frozen=True)
class Row:
    """One head, or two heads, on the images of one bin; intervals are 95 %, over images, and NaN where unknown.

    Attributes:
        run: The run's name.
        score: "class": an output is a box and a class; "foreground": a box, scored by all but the background.
        bin: The bin's label, or "all".
        images: Number of images.
        outputs: Number of outputs that any head scores high enough to count.
        heads: One head's name, or two heads': the first was trained with the more positives.
        mean, mean_low, mean_high: Of the head's scores; of two heads, of the first's minus the second's.
        share, share_low, share_high: Of scores of at least 0.5; of two heads, of absolute differences above 0.1.
    """

    run: str
    score: str
    bin: str
    images: int
    outputs: int
    heads: tuple[str, ...]
    mean: float
    mean_low: float
    mean_high: float
    share: float
    share_low: float
    share_high: float

    @property
    def name(self) -> str:
        """The head, or the two as a difference: "1:1 − 1:9"."""
        return difference_name(self.heads)

    @property
    def is_pair(self) -> bool:
        """Whether it compares two heads."""
        return len(self.heads) == 2

    @property
    def difference(self) -> Estimate:
        """The mean with its interval."""
        return estimate_of(self, "mean")

    @property
    def far(self) -> Estimate:
        """The share with its interval."""
        return estimate_of(self, "share")

    def is_like(self, other: Row) -> bool:
        """Whether another row is of the same heads and images, by whichever kind of score."""
        return (self.run, self.bin, self.heads) == (other.run, other.bin, other.heads)

    @property
    def is_few(self) -> bool:
        """Whether there are too few images to tell."""
        return self.images < FEW_IMAGES


def difference_name(heads: Sequence[str]) -> str:
    """Return one head's name, or of two "1:1 − 1:9"."""
    return " − ".join(heads)


def rows_of(own: HeadScores, score: str, tally: ScoreTally, bins: Sequence[GTBin]) -> Iterator[Row]:
    """Yield, for all images and each bin, a row of every head and of every two, by one kind of score."""
    inside = {gt_bin.label: [image for image in tally.images if image.gt_count in gt_bin] for gt_bin in bins}
    for label, images in {ALL: tally.images, **inside}.items():
        outputs = np.array([image.outputs for image in images])
        key = (own.run, score, label, len(images), int(outputs.sum()))
        for k, head in enumerate(own.heads):
            mean = ratio(_column(images, "score", k), outputs, within=(0, 1))
            yield Row(*key, (head,), *mean, *ratio(_column(images, "high", k), outputs, within=(0, 1)))
        for p, names in enumerate(own.pairs):
            mean = ratio(_column(images, "difference", p), outputs, within=(-1, 1))
            yield Row(*key, names, *mean, *ratio(_column(images, "far", p), outputs, within=(0, 1)))


def _column(images: Sequence[ImageScores], name: str, index: int) -> list[float]:
    return [getattr(image, name)[index] for image in images]
