"""What the sentences are made of: a quantity of one thing less that of another, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.analysis import per_bin
from rgacli.analysis.intervals import Estimate, estimate_of, ratio
from rgacli.analysis.positives import Row as Drawn
from rgacli.evaluation.coco_metrics import Evaluation, difference
from rgacli.method import ENSEMBLE, parse_head_name

IN_TRAINING, OF_HEADS, OF_ENSEMBLE = "training", "heads", "ensemble"
"""The panels, by what they look at."""
FOUND, FALSE = "objects found", "false detections"
"""Per 100 objects; a detection is right by its class and from an IoU of 0.5 on, as AP50 has it."""

Counts = Mapping[str, Mapping[str, np.ndarray]]
"""FOUND and FALSE -> head or ensemble -> how many each image has (images,)."""


@dataclass(frozen=True)
class Row:
    """A quantity of two heads on the same images, or of one at two times of its training.

    Attributes:
        panel: Which sentence it belongs to.
        quantity: Positives per image, objects found or false detections per 100 objects, or AP in [0, 1].
        name, other: What is compared: heads, or parts of a training.
        value, other_value: The quantity of either.
        difference, low, high: The first's less the other's, and its 95 % interval; NaN ends where that is unknown.
    """

    panel: str
    quantity: str
    name: str
    other: str
    value: float
    other_value: float
    difference: float
    low: float
    high: float

    @property
    def change(self) -> Estimate:
        """The difference with its interval."""
        return Estimate(self.difference, self.low, self.high)

    @property
    def side(self) -> int:
        """The side of 0 that the difference is shown to be on, 1 or -1; 0 where none is shown."""
        return 0 if self.change.is_zero_inside else 1 if self.difference > 0 else -1


@dataclass(frozen=True)
class Rate:
    """Objects found, or false detections, per 100 objects, of one head; the 95 % interval is over images."""

    quantity: str
    name: str
    value: float
    low: float
    high: float


def of_training(drawn: Drawn) -> Row:
    """Return how many more positives a head draws late in its training than early."""
    return Row(IN_TRAINING, "positives", "late", "early", drawn.late, drawn.early, *estimate_of(drawn, "rise"))


def counts_of(
    results: Mapping[str, Sequence[Mapping[str, Any]]], variants: Mapping[str, Evaluation], score: float
) -> Counts:
    """Return how many objects each head finds, and how many detections are false, in each image.

    Args:
        results: Head or ensemble -> detections.
        variants: The same, evaluated.
        score: The least of the detections that count.
    """
    counted: dict[str, dict[str, np.ndarray]] = {FOUND: {}, FALSE: {}}
    for name, evaluation in variants.items():
        place = {image: index for index, image in enumerate(evaluation.gt_counts)}
        owners = np.array([place[each["image_id"]] for each in results[name]], dtype=int)
        enough = np.array([each["score"] >= score for each in results[name]], dtype=bool)
        for quantity, outcome in ((FOUND, 1), (FALSE, 0)):
            own = owners[enough & (evaluation.outcomes == outcome)]
            counted[quantity][name] = np.bincount(own, minlength=len(place)).astype(float)
    return counted


def rates_of(counted: Counts, objects: np.ndarray) -> list[Rate]:
    """Return each head's counts per 100 objects; `objects` (images,) has each image's number of them."""
    return [
        Rate(quantity, name, *_per_hundred(ratio(counts, objects, within=(0, math.inf))))
        for quantity, by_name in counted.items()
        for name, counts in by_name.items()
    ]


def of_heads(counted: Counts, objects: np.ndarray) -> Iterator[Row]:
    """Yield how the head of the most positives differs from that of the fewest, in what it finds and in what is false.

    Nothing of a single head, or without objects.
    """
    heads = [name for name in counted[FOUND] if parse_head_name(name)]
    if len(heads) < 2 or not objects.any():
        return
    [(first, second)] = per_bin.pairs(heads)
    for quantity, by_name in counted.items():
        parts = [by_name[first], by_name[second]]
        values = [100 * float(part.sum() / objects.sum()) for part in parts]
        change = _per_hundred(per_bin.difference(parts[0], objects, parts[1], objects))
        yield Row(OF_HEADS, quantity, first, second, *values, *change)


def of_ensemble(
    variants: Mapping[str, Evaluation], samples: int, baseline: tuple[str, Evaluation] | None = None
) -> Iterator[Row]:
    """Yield how AP of the ensemble differs from each head's, on the same images; nothing without an ensemble.

    Args:
        variants: Head or ensemble -> its detections, evaluated.
        samples: Bootstrap samples behind the intervals.
        baseline: Name of another run, and its detections; it stands before the heads.
    """
    whole = variants.get(ENSEMBLE)
    if whole is None or not any(whole.gt_counts.values()):
        return
    others = dict([baseline] if baseline else []) | {head: own for head, own in variants.items() if head != ENSEMBLE}
    for name, own in others.items():
        values = (whole.overall["AP"], own.overall["AP"])
        yield Row(OF_ENSEMBLE, "AP", ENSEMBLE, name, *values, *difference(own, whole, samples=samples))


def other_of(row: Row) -> str:
    """Return what a row compares with, as a sentence names it: "head 1:9", or another run by its name."""
    return f"head {row.other}" if parse_head_name(row.other) else row.other


def _per_hundred(estimate: Estimate) -> Estimate:
    return Estimate(*(100 * value for value in estimate))
