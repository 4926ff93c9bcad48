"""What analyses of several heads per bin of images share: groups, names, which heads to compare, and how."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rgacli.analysis import style
from rgacli.analysis.finding import Table
from rgacli.analysis.intervals import FEW_IMAGES, UNKNOWN, Estimate, mean
from rgacli.errors import DataError
from rgacli.evaluation.gt_bins import ALL, GTBin, assign
from rgacli.method import ENSEMBLE, WHOLE, parse_head_name


def groups(counts: Mapping[int, int], bins: Iterable[GTBin]) -> dict[str, np.ndarray]:
    """Return "all" and each bin's label -> which of the images, in the order of `counts`, are in it."""
    place = {image: index for index, image in enumerate(counts)}
    listed = {ALL: list(counts), **assign(counts, bins)}
    return {label: np.array([place[image] for image in images], dtype=int) for label, images in listed.items()}


def subset(label: str) -> str:
    """Return what the images of a bin are called: "8+ objects"."""
    return "all images" if label == ALL else "1 object" if label == "1" else f"{label} objects"


def heading(label: str, images: int) -> str:
    """Return the title of a bin's panel; it says so where there are too few images."""
    few = ": too few" if images < FEW_IMAGES else ""
    return f"{subset(label)} ({number_of(images)}{few})"


def number_of(images: int) -> str:
    """Return "1 image" or "60 images"."""
    return f"{images} {'image' if images == 1 else 'images'}"


def where(label: str) -> str:
    """Return the images of a bin as a sentence names them."""
    return "on all images" if label == ALL else f"in images with {subset(label)}"


def run_and_head(name: str) -> tuple[str, str]:
    """Return the run and the head of "RUN 1:9"; of one run's head, or of a name that is no head's, no run: ""."""
    run, _, head = name.rpartition(" ")
    return (run, head) if head in (ENSEMBLE, WHOLE) or parse_head_name(head) else ("", name)


def looks(names: Sequence[str]) -> dict[str, style.Look]:
    """Return how each is drawn."""
    found = style.looks([run_and_head(name) for name in names])
    return {name: found[run_and_head(name)] for name in names}


def tables(title: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> list[Table]:
    """Return a table per run.

    Args:
        title: Of each; a run's name is added.
        columns: As of `Table`; there may be a "head", which the rows need not have.
        rows: With the "name" of whatever they are of.
    """
    by_run: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        run, head = run_and_head(row["name"])
        by_run.setdefault(run, []).append({**row, "head": head})
    return [Table(f"{title}: {run}" if run else title, columns, own, group="head") for run, own in by_run.items()]


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return which to compare: of each run the head of the most positives with that of the fewest.

    Where no run has two such heads, the first with each other one.
    """
    by_run: dict[str, list[str]] = {}
    for name in names:
        run, head = run_and_head(name)
        if parse_head_name(head):
            by_run.setdefault(run, []).append(name)
    compared = []
    for own in by_run.values():
        ordered = sorted(own, key=lambda name: -parse_head_name(run_and_head(name)[1]).positive_fraction)
        if len(ordered) > 1:
            compared.append((ordered[0], ordered[-1]))
    return compared or [(names[0], other) for other in names[1:]]


def told(labels: Sequence[str], images: Mapping[str, int]) -> list[str]:
    """Return what a sentence speaks of: the outermost bins that are not of too few images, else all images."""
    enough = [label for label in labels if label != ALL and images[label] >= FEW_IMAGES]
    return [enough[0], enough[-1]] if len(enough) > 1 else [ALL]


def difference(
    parts: Sequence[float] | np.ndarray,
    wholes: Sequence[float] | np.ndarray,
    other_parts: Sequence[float] | np.ndarray,
    other_wholes: Sequence[float] | np.ndarray,
) -> Estimate:
    """Return one ratio of sums minus another, over the same images, with a 95 % interval; as `intervals.ratio`.

    Args:
        parts, wholes: Of each image, of the first ratio.
        other_parts, other_wholes: Of the second.
    """
    own, other = (np.asarray(each, dtype=float) for each in (parts, other_parts))
    own_wholes, others = (np.asarray(each, dtype=float) for each in (wholes, other_wholes))
    total, other_total = own_wholes.sum(), others.sum()
    if not (total and other_total):
        return UNKNOWN
    ratio, other_ratio = own.sum() / total, other.sum() / other_total
    # What each image does to either ratio: linear, so their interval is that of a mean.
    moves = (own - ratio * own_wholes) / total - (other - other_ratio * others) / other_total
    value = float(ratio - other_ratio)
    if min(np.count_nonzero(own_wholes), np.count_nonzero(others)) < 2:
        return Estimate(value, math.nan, math.nan)
    _, low, high = mean(len(moves) * moves)
    return Estimate(value, value + low, value + high)


def probabilities(name: str, detections: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the scores (D,), those above 1 by rounding as 1.

    Raises:
        DataError: a score is no probability.
    """
    scores = np.array([detection["score"] for detection in detections], dtype=float)
    wrong = scores[(scores < 0) | (scores > 1 + 1e-6)]
    if len(wrong):
        raise DataError(
            f"{name}: {len(wrong)} of {len(scores)} detections have a score outside [0, 1] (first: {wrong[0]:g}); "
            "write probabilities."
        )
    return np.minimum(scores, 1)
