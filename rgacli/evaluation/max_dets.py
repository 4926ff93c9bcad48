"""How many of an image's detections count.

COCO's metrics look at the 100 of the highest scores, so that on an image of 150 objects of a class even a perfect
detector has an AP of 0.66. Where images are that dense, more have to count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rgacli.data.annotations import gt_counts
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.wording import param


@dataclass(frozen=True)
class MaxDets:
    """How many detections of an image count, those of the highest scores, and why as many.

    Attributes:
        value: The number. COCO counts them class by class; what limits a detector counts them all together.
        benchmark: What the dataset is measured by: "COCO", "CrowdHuman".
        official: The benchmark's own number: 100, 500.
        densest: Number of non-crowd objects in the densest image.
        why: What decided: "official", "densest" (image), or "asked" for.
    """

    value: int
    benchmark: str
    official: int
    densest: int
    why: str


def max_dets_for(annotations: Mapping[str, Any], asked: int | None = None) -> MaxDets:
    """Return how many detections of an image count on a dataset.

    Args:
        annotations: A COCO dict.
        asked: The number that somebody wants; None for `default_max_dets` of the benchmark's own.

    Raises:
        UsageError: `asked` is below 1.
    """
    require_max_dets(asked)
    benchmark, densest = benchmark_of(annotations), max(gt_counts(annotations).values(), default=0)
    official = benchmark.max_detections
    value = default_max_dets(official, densest) if asked is None else asked
    why = "official" if value == official else "densest" if asked is None else "asked"
    return MaxDets(value, benchmark.title, official, densest, why)


def default_max_dets(official: int, densest: int) -> int:
    """Return how many detections count where nobody says: the official number, if it holds the densest image.

    Else the next hundred that does: a round number, so that splits of one dataset mostly have the same.

    Args:
        official: The benchmark's own number.
        densest: Number of objects in the densest image.
    """
    return official if densest <= official else -(-densest // 100) * 100


def require_max_dets(max_dets: int | None) -> None:
    """Raise a UsageError unless it is a number of detections, or None."""
    if max_dets is not None and max_dets < 1:
        raise UsageError(f"{param('max_dets', max_dets)}: it must be at least 1.")
