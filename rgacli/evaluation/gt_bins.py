"""Bins of images by their number of ground-truth objects (paper, Sec. 1 and Fig. 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rgacli.errors import UsageError

ALL = "all"
"""What stands in a bin's place for all images."""

_BIN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})|(\+))?")


@dataclass(frozen=True)
class GTBin:
    """The images with `low` to `high` non-crowd ground-truth boxes, both ends included.

    Attributes:
        low: At least 1: images without objects form no bin.
        high: At least `low`; None is no upper end.

    Raises:
        UsageError: they are not.
    """

    low: int
    high: int | None = None

    def __post_init__(self) -> None:
        if self.low < 1:
            raise UsageError(f"bin '{self.label}' starts below 1; images without objects form no bin.")
        if self.high is not None and self.high < self.low:
            raise UsageError(f"bin '{self.label}' is reversed; write the smaller number first.")

    @property
    def label(self) -> str:
        """As `parse_bins` reads it: "1-3", "5" or "8+"."""
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.high == self.low else f"{self.low}-{self.high}"

    @property
    def metric(self) -> str:
        """What AP on its images is called among a run's metrics: trackers know "8plus", not "8+"."""
        return f"AP_{self.label.replace('+', 'plus')}"

    def __contains__(self, count: int) -> bool:
        return self.low <= count and (self.high is None or count <= self.high)


def parse_bins(text: str) -> tuple[GTBin, ...]:
    """Return the bins of "1-3,4-7,8+", in ascending order; one may be a single number ("5"), and gaps are fine.

    Raises:
        UsageError: malformed, starting below 1, reversed or overlapping bins.
    """
    bins = sorted((_parse_bin(part.strip()) for part in text.split(",")), key=lambda gt_bin: gt_bin.low)
    for lower, upper in pairwise(bins):
        if upper.low in lower:
            raise UsageError(f"bins '{lower.label}' and '{upper.label}' overlap; an image may be in one bin only.")
    return tuple(bins)


def _parse_bin(text: str) -> GTBin:
    match = _BIN.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' is no bin of object counts; write bins like '1-3,4-7,8+'.")
    low, high, open_ended = match.groups()
    return GTBin(int(low), None if open_ended else int(high or low))


DEFAULT_BINS = parse_bins("1-3,4-7,8+")
CROWD_BINS = parse_bins("1-10,11-20,21-40,41+")


def bins_text(bins: Iterable[GTBin]) -> str:
    """Return bins as `parse_bins` reads them."""
    return ",".join(gt_bin.label for gt_bin in bins)


def assign(counts: Mapping[int, int], bins: Iterable[GTBin]) -> dict[str, list[int]]:
    """Sort images into bins.

    Args:
        counts: Image id -> number of non-crowd ground-truth boxes.
        bins: Bins that do not overlap.

    Returns:
        Bin label -> ids of its images, in the order of `counts`; every bin has an entry, an empty one an empty list.
    """
    return {gt_bin.label: [image for image, count in counts.items() if count in gt_bin] for gt_bin in bins}
