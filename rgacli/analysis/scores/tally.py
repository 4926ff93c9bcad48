"""Counting the scores of heads as they come: what is kept does not grow with the number of proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rgacli.evaluation.gt_bins import GTBin

CELLS = 100
"""Of a histogram over [0, 1]."""
HIGH = 0.5
"""A score that is counted as high: the head finds an object there."""
FAR = 0.1
"""A difference that is counted as one (paper, Sec. 4.3)."""
PAPERS_SHARE = 0.219
"""Of outputs that differ by more than FAR (paper, Sec. 4.3: COCO, heads at 1:1 and 1:9)."""


@dataclass(frozen=True)
class ImageScores:
    """Sums over the outputs of one image.

    Attributes:
        image_id: The image's.
        gt_count: Its number of non-crowd objects.
        outputs: How many outputs there are, the same of each head.
        score: (K,), sum of each head's scores.
        high: (K,), how many of these are at least HIGH.
        difference: (pairs,), sum of the first head's scores minus the second's.
        distance: (pairs,), sum of the absolute differences.
        far: (pairs,), how many of these are above FAR.
    """

    image_id: int
    gt_count: int
    outputs: int
    score: np.ndarray
    high: np.ndarray
    difference: np.ndarray
    distance: np.ndarray
    far: np.ndarray

    @property
    def disagreement(self) -> float:
        """The mean absolute difference of two heads' scores, over outputs and pairs of heads; 0 without outputs."""
        return float(self.distance.mean()) / self.outputs if self.outputs else 0.0


class Histograms:
    """Of scores and of absolute differences, in cells of 1/CELLS; a value on an edge counts above it.

    Args:
        heads, pairs: How many there are.

    Attributes:
        scores: (K, CELLS), how many of each head.
        distances: (pairs, CELLS), how many of each pair of heads.
    """

    def __init__(self, heads: int, pairs: int) -> None:
        self.scores = np.zeros((heads, CELLS), dtype=np.int64)
        self.distances = np.zeros((pairs, CELLS), dtype=np.int64)

    def add(self, scores: np.ndarray, distances: np.ndarray) -> None:
        """Count scores (K, N) and absolute differences (pairs, N)."""
        self.scores += histogram(scores)
        self.distances += histogram(distances)


class ScoreTally:
    """The scores of K heads for the same outputs, image by image.

    Args:
        order: The heads' indices by their positive fraction, the highest first: of two heads, the first here is what
            the second is subtracted from.
        bins: Bins that do not overlap.

    Attributes:
        pairs: Indices of each two heads.
        images: Sums of each image, those of no bin as well.
        overall: Histograms of all images.
        by_bin: Bin label -> histograms of its images.
    """

    def __init__(self, order: Sequence[int], bins: Sequence[GTBin]) -> None:
        self._bins = bins
        self.pairs = list(combinations(order, 2))
        self.images: list[ImageScores] = []
        self.overall = Histograms(len(order), len(self.pairs))
        self.by_bin = {gt_bin.label: Histograms(len(order), len(self.pairs)) for gt_bin in bins}

    def add(self, image_id: int, gt_count: int, scores: np.ndarray) -> None:
        """Count an image.

        Args:
            image_id: Its id.
            gt_count: Its number of non-crowd objects.
            scores: (K, N) in [0, 1], of each head for the same N outputs.
        """
        first, second = np.array(self.pairs).T
        differences = scores[first] - scores[second]
        distances = np.abs(differences)
        self.images.append(
            ImageScores(
                image_id,
                gt_count,
                scores.shape[1],
                scores.sum(axis=1, dtype=float),
                (scores >= HIGH).sum(axis=1),
                differences.sum(axis=1, dtype=float),
                distances.sum(axis=1, dtype=float),
                (distances > FAR).sum(axis=1),
            )
        )
        for own in (self.overall, *(self.by_bin[gt_bin.label] for gt_bin in self._bins if gt_count in gt_bin)):
            own.add(scores, distances)


def histogram(values: np.ndarray) -> np.ndarray:
    """Return how many of each row's values (R, N) in [0, 1] are in each cell: (R, CELLS)."""
    cells = np.clip((values * CELLS).astype(np.int64), 0, CELLS - 1)
    rows = np.arange(len(values))[:, None] * CELLS
    return np.bincount((rows + cells).ravel(), minlength=len(values) * CELLS).reshape(len(values), CELLS)


def share_from(counts: np.ndarray) -> np.ndarray:
    """Return, of a histogram (CELLS,), the share that lies at or above each edge: (CELLS + 1,), from 1 down to 0."""
    above = np.append(np.cumsum(counts[::-1])[::-1], 0)
    return above / max(1, above[0])
