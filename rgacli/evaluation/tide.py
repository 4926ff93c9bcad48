"""What is wrong with each detection and object, by TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object
Detection Errors", 2020), and which annotations look wrong.

hotcoco matches and counts; which error each single false positive is follows from its IoUs by the same rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hotcoco.primitives import bbox_iou

from rgacli.data.annotations import gt_boxes
from rgacli.evaluation.coco_metrics import Evaluation, evaluate
from rgacli.evaluation.max_dets import max_dets_for
from rgacli.progress import Progress

ERRORS = {
    "Cls": "wrong class",
    "Loc": "badly located",
    "Both": "wrong class and badly located",
    "Dupe": "found twice",
    "Bkg": "background",
    "Miss": "missed",
}
"""TIDE's errors -> what they are; the first five are of detections, the last is of objects."""

RIGHT, IGNORED, FOUND, MISTAKEN, MISSED = "right", "ignored", "found", "mistaken", "Miss"

_POSITIVE, _BACKGROUND = 0.5, 0.1  # IoU from which a box is right, and up to which it lies on nothing
_KINDS = tuple(ERRORS)
_CLS, _LOC, _BOTH, _DUPE, _BKG, _MISS = range(len(_KINDS))
_RIGHT, _IGNORED = 6, 7
_NAMES = (*_KINDS, RIGHT, IGNORED)
_ON_OBJECTS = {_RIGHT: FOUND, _IGNORED: IGNORED, _CLS: MISTAKEN, _MISS: MISSED}


@dataclass(frozen=True)
class Fate:
    """What became of a detection or an object.

    Attributes:
        category: Its category id.
        box: (x, y, width, height) in pixels.
        fate: Of a detection "right", one of TIDE's errors but "Miss", or "ignored": it lies in a crowd, or too many
            have higher scores. Of an object "found", "mistaken" (not found, but a detection of the wrong class or badly
            located stands for it), "Miss", or "ignored": it is a crowd.
        score: Of a detection; None of an object.
    """

    category: int
    box: tuple[float, float, float, float]
    fate: str
    score: float | None = None


@dataclass(frozen=True)
class Fates:
    """All of an image.

    Attributes:
        detections: By falling score.
        objects: In the order of the annotations.
    """

    detections: Sequence[Fate]
    objects: Sequence[Fate]


@dataclass(frozen=True)
class Suspect:
    """An annotation to check.

    Attributes:
        image: Id of the image.
        what: "missing annotation" or "wrong label".
        category: Id of what was detected.
        box: Where: (x, y, width, height) in pixels.
        score: The detection's.
        labelled: Category id of the object that may be labelled wrongly; None where nothing is annotated.
    """

    image: int
    what: str
    category: int
    box: tuple[float, float, float, float]
    score: float
    labelled: int | None = None


def fates(
    annotations: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    images: Collection[int] | None = None,
    *,
    score: float = 0.0,
    max_dets: int | None = None,
) -> dict[int, Fates]:
    """Return image id -> the fate of each of its detections and objects.

    Args:
        annotations: A COCO dict.
        detections: One head's, in COCO's results format.
        images: Ids of those to look at, which alone are worked on; None is all of them.
        score: The least of the detections that count: the others are as if they were not.
        max_dets: How many of an image's detections of a class count; None for `max_dets_for`'s number.
    """
    found = {}
    for part in _judged(annotations, detections, images, score, max_dets):
        order = sorted(range(len(part.detections)), key=lambda index: -part.detections[index]["score"])
        found[part.image] = Fates(
            [_fate(part.detections[i], _NAMES[part.detected[i]], part.detections[i]["score"]) for i in order],
            [_fate(entry, _ON_OBJECTS[code]) for entry, code in zip(part.objects, part.annotated, strict=True)],
        )
    return found


def error_counts(
    annotations: Mapping[str, Any],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    images: Collection[int] | None = None,
    *,
    score: float = 0.0,
    max_dets: int | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[int, dict[str, int]]]:
    """Return head -> image id -> error -> how many there are; over all images they are TIDE's counts.

    Args:
        annotations, images, score, max_dets: As for `fates`.
        results: Head -> detections.
        progress: Told of each head.
    """
    counts: dict[str, dict[int, dict[str, int]]] = {}
    for done, (head, detections) in enumerate(results.items(), start=1):
        counts[head] = {}
        for part in _judged(annotations, detections, images, score, max_dets):
            number = np.bincount(part.detected, minlength=len(_NAMES))
            number[_MISS] = np.count_nonzero(part.annotated == _MISS)
            counts[head][part.image] = dict(zip(_KINDS, number.tolist(), strict=False))
        if progress:
            progress("judging", done, len(results))
    return counts


def costs(
    evaluation: Evaluation,
    annotations: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    images: Collection[int],
    *,
    max_dets: int | None = None,
) -> dict[str, Any]:
    """Return TIDE's errors over these images as tidecv has them: delta_ap, counts and ap_base, all in [0, 1].

    Missed objects are mended by taking them out. hotcoco then keeps a class of which nothing is left in the mean, at AP
    0; in TIDE it is gone. If no class is left, missed objects cost all AP that there is to be had. Classes that are
    detected here and have no object here are left out of all means, as COCO does; tidecv counts them at AP 0.

    Args:
        evaluation: Of these annotations and detections.
        annotations, detections, max_dets: As for `fates`.
        images: Ids of those to look at.
    """
    found, wanted = evaluation.restricted(images).tide(), set(images)
    detected = {each["category_id"] for each in detections if each["image_id"] in wanted}
    classes: dict[int, set[int]] = defaultdict(set)
    for box in gt_boxes(annotations):
        if box["image_id"] in wanted:
            classes[box["category_id"]].add(box["image_id"])
    undetected = {category: own for category, own in classes.items() if category not in detected}
    if not undetected:
        return found
    judged = _judged(annotations, detections, set.union(*undetected.values()), -np.inf, max_dets)
    mistaken = {
        entry["category_id"]
        for part in judged
        for entry, code in zip(part.objects, part.annotated, strict=True)
        if code == _CLS
    }
    left = len(classes) - len(undetected.keys() - mistaken)
    base = found["ap_base"]
    mended = (found["delta_ap"]["Miss"] + base) * len(classes) / left if left else 1.0
    return {**found, "delta_ap": {**found["delta_ap"], "Miss": mended - base}}


def suspected_labels(
    annotations: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    score: float = 0.8,
    max_dets: int | None = None,
) -> list[Suspect]:
    """Return annotations to check, by falling score: where a detector is sure of an object and none is annotated.

    What is detected more than once, as several classes, stands there once; what lies in a crowd does not.

    Args:
        annotations, max_dets: As for `fates`.
        detections: The best detector's: most often the ensemble's.
        score: The least of what is believed.
    """
    truth = _on_images(annotations, None)
    images, categories = (sorted(entry["id"] for entry in truth[key]) for key in ("images", "categories"))
    crowds: dict[int, list[Any]] = defaultdict(list)
    for entry in truth["annotations"]:
        if entry.get("iscrowd"):
            crowds[entry["image_id"]].append(entry["bbox"])
    listed: dict[int, list[Suspect]] = defaultdict(list)
    errors = evaluate(truth, detections, max_dets=max_dets).diagnosis(score)["label_errors"]
    for error in errors:
        detection, image = detections[error["dt_id"] - 1], images[error["image_id"]]
        on_image, box = listed[image], tuple(detection["bbox"])
        if _overlap(box, [other.box for other in on_image]) >= _POSITIVE:
            continue
        if _overlap(box, crowds[image], crowd=True) >= _BACKGROUND:
            continue
        labelled = None if error["gt_id"] is None else categories[error["gt_category_id"]]
        what = error["type"].replace("_", " ")
        on_image.append(Suspect(image, what, detection["category_id"], box, detection["score"], labelled))
    return sorted((each for own in listed.values() for each in own), key=lambda each: -each.score)


def _overlap(box: Sequence[float], others: Sequence[Sequence[float]], *, crowd: bool = False) -> float:
    """Return the highest IoU with others, or with crowds the highest share of the box in one; 0 without any."""
    return bbox_iou([box], others, [crowd] * len(others)).max() if others else 0.0


class _Judged(NamedTuple):
    """An image's detections and objects, with codes into `_NAMES` of what became of them."""

    image: int
    detections: list[Mapping[str, Any]]
    detected: np.ndarray
    objects: list[Mapping[str, Any]]
    annotated: np.ndarray


def _judged(
    annotations: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    images: Collection[int] | None,
    score: float,
    max_dets: int | None,
) -> Iterator[_Judged]:
    """Yield the images; an object that is mistaken has the code of a wrong class, whatever it is mistaken by."""
    counted = max_dets_for(annotations, max_dets).value  # by all images, not by those looked at
    truth = _on_images(annotations, images)
    listed = [image["id"] for image in truth["images"]]
    wanted = set(listed)
    detections = [each for each in detections if each["image_id"] in wanted and each["score"] >= score]
    diagnosis = evaluate(truth, detections, max_dets=counted).diagnosis()
    status, found = diagnosis["dt_status"], diagnosis["gt_match"]

    own_detections, own_objects = _by_image(detections, listed), _by_image(truth["annotations"], listed)
    for image in listed:
        rows, columns = own_detections[image], own_objects[image]
        own, objects = [detections[row] for row in rows], [truth["annotations"][column] for column in columns]
        crowd = np.array([bool(entry.get("iscrowd")) for entry in objects], dtype=bool)
        taken = np.array([column + 1 in found for column in columns], dtype=bool)
        detected = np.array([{"tp": _RIGHT, "fp": _BKG}.get(status.get(row + 1), _IGNORED) for row in rows], dtype=int)
        annotated = np.where(crowd, _IGNORED, np.where(taken, _RIGHT, _MISS))
        wrong = np.flatnonzero(detected == _BKG)
        if len(wrong) and len(objects):
            detected[wrong], targets = _errors([own[index] for index in wrong], objects, crowd, taken)
            mistaken = targets[annotated[targets] == _MISS]
            annotated[mistaken] = _CLS
        yield _Judged(image, own, detected, objects, annotated)


def _errors(
    wrong: Sequence[Mapping[str, Any]], objects: Sequence[Mapping[str, Any]], crowd: np.ndarray, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors (F,) that false positives of an image are, and the objects that they stand for.

    TIDE's order decides between several that fit. Crowds count as hotcoco has it: for the location of their own class.
    """
    classes, others = (np.array([entry["category_id"] for entry in each]) for each in (wrong, objects))
    first = np.lexsort((others, crowd))  # hotcoco's order, by which ties are decided
    boxes, own_boxes = ([entry["bbox"] for entry in each] for each in (wrong, objects))
    iou = bbox_iou(boxes, own_boxes, crowd)[:, first]
    same = classes[:, None] == others[first]
    own, other = np.where(same, iou, 0), np.where(same | crowd[first], 0, iou)
    best, best_other = own.max(axis=1), other.max(axis=1)

    located = (best >= _BACKGROUND) & (best <= _POSITIVE)
    named = ~located & (best_other >= _POSITIVE)
    twice = ((own >= _POSITIVE) & taken[first]).any(axis=1)
    errors = np.select([located, named, twice, best_other <= _BACKGROUND], [_LOC, _CLS, _DUPE, _BKG], _BOTH)
    targets = np.concatenate([own[located].argmax(axis=1), other[named].argmax(axis=1)])
    return errors, first[targets]


def _on_images(annotations: Mapping[str, Any], images: Collection[int] | None) -> dict[str, Any]:
    """Return the annotations of these images and of listed categories: hotcoco numbers these objects from 1."""
    wanted = {image["id"] for image in annotations["images"]}
    if images is not None:
        wanted &= set(images)
    categories = {category["id"] for category in annotations["categories"]}
    objects = [
        entry
        for entry in annotations["annotations"]
        if entry["image_id"] in wanted and entry["category_id"] in categories
    ]
    listed = [image for image in annotations["images"] if image["id"] in wanted]
    return {**annotations, "images": listed, "annotations": objects}


def _by_image(entries: Sequence[Mapping[str, Any]], images: Sequence[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {image: [] for image in images}
    for index, entry in enumerate(entries):
        found[entry["image_id"]].append(index)
    return found


def _fate(entry: Mapping[str, Any], fate: str, score: float | None = None) -> Fate:
    return Fate(entry["category_id"], tuple(entry["bbox"]), fate, score)
