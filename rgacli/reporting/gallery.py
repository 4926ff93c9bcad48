"""Which images a report shows: where heads disagree, the worst behind each error, and those whose labels look wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rgacli.data.annotations import gt_counts
from rgacli.evaluation.gt_bins import GTBin, assign
from rgacli.evaluation.tide import ERRORS, Suspect, error_counts, fates, suspected_labels
from rgacli.reporting.images import Cell, CellRow, Gallery, Group, Shown

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""Head -> detections in COCO's results format."""

_DISAGREEING = 6  # images
_SUSPECTS = 10  # annotations
_PER_CELL = 8  # images


def collect(
    truth: Mapping[str, Any],
    results: Results,
    folder: Path,
    bins: Sequence[GTBin],
    disagreement: Mapping[int, float],
    *,
    most: int,
    score: float = 0.3,
    max_dets: int | None = None,
) -> Gallery:
    """Choose the images, and say of every detection on them what became of it.

    Args:
        truth: The ground truth, a COCO dict.
        results: The heads' detections; the last are the best, most often the ensemble's.
        folder: Of the images.
        bins: Bins that do not overlap.
        disagreement: Image id -> how much the heads differ; empty for a single head.
        most: Number of images at most.
        score: The least of the detections that count.
        max_dets: How many detections of an image count.
    """
    heads = list(results)
    objects = gt_counts(truth)
    counts = error_counts(truth, results, score=score, max_dets=max_dets)
    members = assign(objects, bins)
    cells = _cells(counts, members)
    disagreeing = sorted(disagreement, key=lambda image: -disagreement[image])[:_DISAGREEING]
    suspects = suspected_labels(truth, results[heads[-1]], max_dets=max_dets)[:_SUSPECTS]
    chosen = _chosen([disagreeing, [suspect.image for suspect in suspects]], cells, most)
    found = {head: fates(truth, own, chosen, score=score, max_dets=max_dets) for head, own in results.items()}
    files = {image["id"]: folder / image["file_name"] for image in truth["images"]}
    classes = {category["id"]: category["name"] for category in truth["categories"]}
    groups = [_errors(heads, counts, members, objects, score)]
    if disagreeing:
        shown = [image for image in disagreeing if image in chosen]
        notes = {image: f"mean difference {disagreement[image]:.3f}" for image in shown}
        text = "By the mean difference of their scores on the same proposals."
        groups.append(Group("Where the heads disagree most", text, shown, notes))
    to_check = _to_check(suspects, chosen, classes)
    if to_check.images:
        groups.append(to_check)
    return Gallery(
        classes,
        heads,
        {image: Shown(files[image], {head: own[image] for head, own in found.items()}) for image in chosen},
        groups,
        {key: shown for key, images in cells.items() if (shown := [pair for pair in images if pair[0] in chosen])},
    )


def _cells(
    counts: Mapping[str, Mapping[int, Mapping[str, int]]], members: Mapping[str, Sequence[int]]
) -> dict[str, list[tuple[int, int]]]:
    """Return cell -> its worst images, each with its number of errors."""
    cells = {}
    for label, images in members.items():
        for head, of_images in counts.items():
            for error in ERRORS:
                numbers = ((image, of_images[image][error]) for image in images)
                worst = sorted((pair for pair in numbers if pair[1]), key=lambda pair: -pair[1])
                cells[f"{label}|{head}|{error}"] = worst[:_PER_CELL]
    return cells


def _chosen(first: Sequence[Sequence[int]], cells: Mapping[str, Sequence[tuple[int, int]]], most: int) -> list[int]:
    """Return the images to embed: those named first, then each cell's worst, each cell's second, and so on."""
    chosen = dict.fromkeys(image for images in first for image in images)
    for rank in range(_PER_CELL):
        chosen |= dict.fromkeys(images[rank][0] for images in cells.values() if rank < len(images))
    return list(chosen)[:most]


def _errors(
    heads: Sequence[str],
    counts: Mapping[str, Mapping[int, Mapping[str, int]]],
    members: Mapping[str, Sequence[int]],
    objects: Mapping[int, int],
    score: float,
) -> Group:
    """Return the table of errors per 100 objects by bin and head; a bin's heads and errors are shaded alike."""
    rows = []
    for label, images in members.items():
        if not images:
            continue
        total = sum(objects[image] for image in images)
        rates = {
            (head, error): 100 * sum(counts[head][image][error] for image in images) / total
            for head in heads
            for error in ERRORS
        }
        highest = max(rates.values()) or 1
        for head in heads:
            cells = [
                Cell(f"{label}|{head}|{error}", f"{rates[head, error]:.1f}", rates[head, error] / highest)
                for error in ERRORS
            ]
            rows.append(CellRow([label, head], cells))
    return Group(
        "Where each head errs",
        f"Errors per 100 objects, by TIDE's kinds, of detections with a score of at least {score:g}. A click on a "
        "number opens the images behind it, worst first.",
        headings=["objects", "head", *ERRORS.values()],
        cells=rows,
    )


def _to_check(suspects: Sequence[Suspect], chosen: Sequence[int], classes: Mapping[int, str]) -> Group:
    by_image: dict[int, list[Suspect]] = defaultdict(list)
    for suspect in suspects:
        if suspect.image in chosen:
            by_image[suspect.image].append(suspect)
    return Group(
        "Check these annotations",
        "Here the detector is sure of an object that is not annotated so: either is wrong.",
        list(by_image),
        {image: "; ".join(_suspicion(each, classes) for each in own) for image, own in by_image.items()},
        {image: [each.box for each in own] for image, own in by_image.items()},
    )


def _suspicion(suspect: Suspect, classes: Mapping[int, str]) -> str:
    labelled = "not annotated" if suspect.labelled is None else f"annotated as {classes[suspect.labelled]}"
    return f"{classes[suspect.category]} ({suspect.score:.2f}), {labelled}"
