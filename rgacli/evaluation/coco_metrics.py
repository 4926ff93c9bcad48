"""COCO's AP, overall and on any subset of the images, with intervals: all from one matching pass per detector.

Matching, accumulation and resampling are hotcoco's; this module names subsets, numbers images and categories, turns
COCO's -1 into NaN, and widens the intervals (see `difference`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import hotcoco
import numpy as np

from rgacli.data.annotations import gt_counts
from rgacli.evaluation.benchmark import Coco
from rgacli.evaluation.gt_bins import GTBin, assign
from rgacli.evaluation.max_dets import max_dets_for
from rgacli.evaluation.result_arrays import ResultArrays

METRICS = Coco.metrics

# hotcoco draws n of n images with replacement but counts an image drawn twice once, so a sample is a subsample of
# about n (1 - 1/e) different images. A mean over m of n images, drawn without replacement, has the variance
# (n/m - 1) s²/n; here n/m - 1 = 1/(e - 1), whereas the variance wanted is s²/n. Left as they come, "95 %" intervals
# hold the true AP in 86 % of trials; widened by this factor in 94 % (simulated: 100 images, 3 classes).
_SUBSAMPLE_CORRECTION = math.sqrt(math.e - 1)
_Z95 = 1.96
# In a sample without any objects hotcoco takes the difference for 0. One such in 3,000 does no harm: as many as there
# are where 8 of many images have objects.
_MOST_WITHOUT_OBJECTS = math.exp(-8)


class Interval(NamedTuple):
    """A 95 % interval; both ends are NaN where it is unknown."""

    low: float
    high: float


class Difference(NamedTuple):
    """A difference of AP and its 95 % interval; NaN where unknown."""

    value: float
    low: float
    high: float


class Evaluation:
    """One detector's boxes, or its masks, matched with the ground truth; made by `evaluate`.

    Args:
        truth: The ground truth.
        counts: Image id -> number of non-crowd objects.
        found: Detections that `truth` loaded.
        iou_type: "bbox" or "segm".
        max_detections: How many count in an image.
        images: Ids of the images to look at; None is all of `counts`.
    """

    def __init__(
        self,
        truth: hotcoco.COCO,
        counts: Mapping[int, int],
        found: hotcoco.COCO,
        *,
        iou_type: str,
        max_detections: int,
        images: Iterable[int] | None = None,
    ) -> None:
        self.gt_counts = counts if images is None else {image: counts[image] for image in images}
        self._all_counts, self._number = counts, _numbered(counts)
        self._truth, self._found = truth, found
        self._iou_type = iou_type
        self._max_detections = max_detections
        self._matched = hotcoco.COCOeval(truth, found, iou_type)
        self._matched.params = self._params(self.gt_counts, sizes=4)
        self._matched.evaluate()

    @cached_property
    def overall(self) -> dict[str, float]:
        """Metric -> its value over all images, in [0, 1]; NaN where there are no such objects."""
        return _metrics(self._matched.slice_by({})["_overall"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names, by rising category id: C of them."""
        return tuple(category["name"] for category in self._truth.load_cats(self._truth.get_cat_ids()))

    @cached_property
    def precision(self) -> np.ndarray:
        """Precision (10, 101, C) at COCO's IoU and recall thresholds, of each class; NaN where it has no objects."""
        self._matched.accumulate()
        precision = self._matched.eval["precision"][..., 0, -1]  # of objects of all sizes
        return np.where(precision < 0, math.nan, precision)

    def confusion(self, score: float) -> np.ndarray:
        """Return what was found for what, matched at IoU 0.5 whatever the class: (C+1, C+1) counts, background last.

        A row is the true class, a column the one found: the last column is of missed objects, the last row of
        detections that match none, those in crowds included.

        Args:
            score: The least of the detections that count, in [0, 1].
        """
        counted = dict(iou_thr=0.5, max_det=self._max_detections, min_score=score)
        return self._matched.confusion_matrix(**counted)["matrix"].astype(np.int64)

    def restricted(self, images: Iterable[int]) -> Evaluation:
        """Return the evaluation on these image ids alone, for what hotcoco tells of all that was matched."""
        kind = {"iou_type": self._iou_type, "max_detections": self._max_detections}
        return Evaluation(self._truth, self._all_counts, self._found, **kind, images=images)

    def tide(self) -> dict[str, Any]:
        """Return TIDE's errors at IoU 0.5 and background at 0.1: delta_ap, counts and ap_base, as hotcoco has them.

        See `tide.costs` for what they cost as TIDE has it.
        """
        return self._matched.tide_errors()

    @cached_property
    def outcomes(self) -> np.ndarray:
        """What each detection is at IoU 0.5 (D,), in their order: 1 right, 0 wrong, -1 one that does not count."""
        status = self.diagnosis()["dt_status"]
        found = np.full(len(self._found.get_ann_ids()), -1)
        found[np.fromiter(status, dtype=int, count=len(status)) - 1] = [each == "tp" for each in status.values()]
        return found

    def diagnosis(self, score: float = 0.0) -> dict[str, Any]:
        """Return what matched what at IoU 0.5, and from this score on suspected labels, as hotcoco has it.

        Ids are its own: detections and objects are numbered from 1, images and categories by rank.
        """
        return self._matched.image_diagnostics(score_thr=score)

    def on(self, subsets: Mapping[str, Sequence[int]]) -> dict[str, dict[str, float]]:
        """Return name -> metrics over these image ids alone; classes that have no object there do not count."""
        results = self._matched.slice_by({name: self._numbers(images) for name, images in subsets.items()})
        return {name: _metrics(results[name]) for name in subsets}

    def by_bin(self, bins: Iterable[GTBin]) -> dict[str, dict[str, float]]:
        """Return bin label -> metrics over its images (paper, Fig. 2)."""
        return self.on(assign(self.gt_counts, bins))

    def _numbers(self, images: Iterable[int]) -> list[int]:
        return [self._number[image] for image in images]

    def _params(self, images: Iterable[int], sizes: int) -> hotcoco.Params:
        """Return COCO's, for AP metrics on `images`: over the first `sizes` of (all, small, medium, large) objects."""
        params = hotcoco.Params(self._iou_type)
        params.img_ids = self._numbers(images)
        params.cat_ids = self._truth.get_cat_ids()
        params.max_dets = [self._max_detections]
        params.area_rng, params.area_rng_lbl = params.area_rng[:sizes], params.area_rng_lbl[:sizes]
        return params

    @contextmanager
    def _for_resampling(self, images: Iterable[int]) -> Iterator[hotcoco.COCOeval]:
        """Yield the matched detections with the params that hotcoco.compare is to use.

        It reads them at its call and matches nothing again: fewer sizes make it 4 times faster.
        """
        self._matched.params = self._params(images, sizes=1)
        try:
            yield self._matched
        finally:
            self._matched.params = self._params(self.gt_counts, sizes=4)

    @cached_property
    def _without_detections(self) -> Evaluation:
        nothing = self._truth.load_res(np.empty((0, 7)))
        kind = {"iou_type": self._iou_type, "max_detections": self._max_detections}
        return Evaluation(self._truth, self._all_counts, nothing, **kind, images=self.gt_counts)


def evaluate(
    annotations: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    masks: bool = False,
    max_dets: int | None = None,
) -> Evaluation:
    """Match detections with the ground truth, once.

    Args:
        annotations: A COCO dict, as `rgacli.data.annotations.load_annotations` returns it.
        detections: As `rgacli.evaluation.results.load_results` returns them; may be empty.
        masks: Match masks, which annotations and detections must have, in place of boxes.
        max_dets: How many count in an image, by score, and as COCO does it of each class; None for `max_dets_for`'s
            number.
    """
    counts = gt_counts(annotations)
    number_of, category_of = _numbered(counts), _numbered(entry["id"] for entry in annotations["categories"])
    truth = _ground_truth(annotations, number_of, category_of, masks)
    arrays = ResultArrays.of(detections)
    images = [number_of[image] for image in arrays.image_ids.tolist()]
    categories = [category_of[category] for category in arrays.category_ids.tolist()]
    found = truth.load_res(
        np.column_stack((np.array(images, dtype=np.float64), arrays.boxes, arrays.scores, categories)),
        segmentation=[detection["segmentation"] for detection in detections] if masks else None,
    )
    return Evaluation(
        truth,
        counts,
        found,
        iou_type="segm" if masks else "bbox",
        max_detections=max_dets_for(annotations, max_dets).value,
    )


def interval(
    evaluation: Evaluation, images: Sequence[int] | None = None, *, samples: int = 200, seed: int = 0
) -> Interval:
    """Return the 95 % bootstrap interval of AP over images.

    It tells how AP varies with the choice of images. It is too narrow for a handful of them (8 images, simulated: the
    true AP inside in 85 % of trials), and it cannot mend that AP itself comes out high where classes are rare.

    Args:
        evaluation: Whose AP.
        images: Ids of the images to look at; None is all of them.
        samples: Number of bootstrap samples.
        seed: Of the resampling, at least 0.

    Returns:
        Ends in [0, 1]; NaN where `difference` has NaN.
    """
    # hotcoco bootstraps differences only; without any detection AP is 0, so this difference is AP itself.
    nothing = evaluation._without_detections
    _, low, high = difference(nothing, evaluation, images, samples=samples, seed=seed)
    return Interval(*np.clip((low, high), 0, 1).tolist())


def difference(
    a: Evaluation, b: Evaluation, images: Sequence[int] | None = None, *, samples: int = 200, seed: int = 0
) -> Difference:
    """Return AP of `b` minus AP of `a`, with a 95 % bootstrap interval in which both see the same images.

    The interval is normal, value ± 1.96 standard errors: a standard error needs far fewer samples than percentiles
    do, and AP over a subsample is biased upward, which would move percentiles but not this interval.

    Args:
        a: Evaluated on the same annotations as `b`.
        b: The other detector, or the ensemble.
        images: Ids of the images to look at; None is all of them.
        samples: Number of bootstrap samples.
        seed: Of the resampling, at least 0. Sample i draws with seed + i, so runs to be independent need seeds that
            lie `samples` apart.

    Returns:
        In units of AP, [-1, 1]. NaN without objects; NaN ends for fewer than two images or samples, and where so few
        images have objects that more than 1 in 3,000 samples are without any.
    """
    images = list(b.gt_counts if images is None else images)
    with_objects = sum(b.gt_counts[image] > 0 for image in images)
    if not with_objects:
        return Difference(math.nan, math.nan, math.nan)
    with a._for_resampling(images) as left, b._for_resampling(images) as right:
        result = hotcoco.compare(left, right, n_bootstrap=samples, seed=seed)
    value, half = result["deltas"]["AP"], math.nan
    share_without = (1 - with_objects / len(images)) ** len(images)
    if min(len(images), samples) > 1 and share_without <= _MOST_WITHOUT_OBJECTS:
        half = _Z95 * _SUBSAMPLE_CORRECTION * result["ci"]["AP"]["std_err"]
    return Difference(value, *np.clip((value - half, value + half), -1, 1).tolist())


def _numbered(ids: Iterable[int]) -> dict[int, int]:
    """Return id -> its rank.

    hotcoco takes no negative ids, and detections' as float64, which large ones do not fit in.
    """
    return {key: number for number, key in enumerate(sorted(ids))}


def _ground_truth(
    annotations: Mapping[str, Any], number_of: Mapping[int, int], category_of: Mapping[int, int], masks: bool
) -> hotcoco.COCO:
    """Return the ground truth, without objects of what is not listed.

    It is built by columns, which spares the conversion of what is not read.
    """
    objects = [
        entry
        for entry in annotations["annotations"]
        if entry["image_id"] in number_of and entry["category_id"] in category_of
    ]
    sizes = ("width", "height") if masks else ()
    return hotcoco.COCO.from_arrays(
        [{"id": number_of[image["id"]], **{key: int(image[key]) for key in sizes}} for image in annotations["images"]],
        [{"id": category_of[entry["id"]], "name": entry["name"]} for entry in annotations["categories"]],
        np.array([number_of[entry["image_id"]] for entry in objects], dtype=np.int64),
        np.array([category_of[entry["category_id"]] for entry in objects], dtype=np.int64),
        np.array([entry["bbox"] for entry in objects], dtype=np.float64).reshape(-1, 4),
        area=np.array([entry["area"] for entry in objects], dtype=np.float64),
        iscrowd=np.array([int(bool(entry.get("iscrowd"))) for entry in objects], dtype=np.int64),
        segmentation=[entry["segmentation"] for entry in objects] if masks else None,
    )


def _metrics(stats: Mapping[str, Any]) -> dict[str, float]:
    return {name: math.nan if stats[name] < 0 else stats[name] for name in METRICS}
