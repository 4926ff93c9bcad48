"""What differs between datasets in how detections are measured: COCO's way, and CrowdHuman's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rgacli.data.annotations import Annotations, has_masks, is_crowdhuman
from rgacli.data.crowdhuman import official_records
from rgacli.evaluation.gt_bins import CROWD_BINS, DEFAULT_BINS, GTBin

if TYPE_CHECKING:
    from rgacli.evaluation.coco_metrics import Evaluation

MASK_METRICS = ("mask_AP", "mask_AP50", "mask_AP75")
"""What COCO masks are measured by, where there are any."""


class Benchmark(Protocol):
    """How detections on a dataset are measured.

    Args:
        annotations: The dataset's, a COCO dict.
        path: Their file; what else is needed is named in it or lies beside it.
        max_dets: How many of an image's detections count; None for `max_dets_for`'s number.

    Attributes:
        name: Prefix of its metrics in a run's log.
        metrics: What it measures boxes by; detectors are ranked by the first.
        title: What it is called.
        bins: Bins of the number of objects in an image, where none are named.
        max_detections: How many of an image's detections count by its own rules, those of the highest scores.

    Raises:
        DataError: what else is needed is not there or does not fit the annotations.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    title: ClassVar[str]
    bins: ClassVar[tuple[GTBin, ...]]
    max_detections: ClassVar[int]

    def __init__(self, annotations: Annotations, path: Path, max_dets: int | None = None) -> None: ...

    def measure(
        self, detections: Sequence[Mapping[str, Any]], *, masks: bool = False, by_bin: bool = False
    ) -> dict[str, float]:
        """Return metric -> value, in [0, 1], NaN where unknown.

        Args:
            detections: In COCO's results format, of all images.
            masks: Whether they have masks ("segmentation").
            by_bin: Whether to measure COCO's AP on the images of each bin, too: "AP_1-3", … (`GTBin.metric`).
        """
        ...


class Coco:
    """COCO's AP, AP50, AP75, APs, APm and APl of boxes, and mask_AP, mask_AP50, mask_AP75 of masks: of any dataset."""

    name = "coco"
    metrics = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    title = "COCO"
    bins = DEFAULT_BINS
    max_detections = 100

    def __init__(self, annotations: Annotations, path: Path, max_dets: int | None = None) -> None:
        self._annotations, self._max_dets = annotations, max_dets

    def measure(
        self, detections: Sequence[Mapping[str, Any]], *, masks: bool = False, by_bin: bool = False
    ) -> dict[str, float]:
        """See Benchmark."""
        from rgacli.evaluation.coco_metrics import evaluate  # which asks us how many detections count

        of_boxes = evaluate(self._annotations, detections, max_dets=self._max_dets)
        metrics = of_boxes.overall | (_by_bin(of_boxes, self.bins) if by_bin else {})
        if masks and has_masks(self._annotations):
            of_masks = evaluate(self._annotations, detections, masks=True, max_dets=self._max_dets).overall
            metrics = metrics | {key: of_masks[key.removeprefix("mask_")] for key in MASK_METRICS}
        return metrics


class CrowdHuman:
    """CrowdHuman's mMR, AP50 and JI of boxes, from the official annotations that its COCO annotations were made of."""

    name = "crowdhuman"
    metrics = ("mMR", "AP50", "JI")
    title = "CrowdHuman"
    bins = CROWD_BINS
    max_detections = 500  # all that a detector is configured to yield: some images hold more than COCO's 100 persons

    def __init__(self, annotations: Annotations, path: Path, max_dets: int | None = None) -> None:
        self._annotations, self._records = annotations, official_records(annotations, path)
        self._max_dets = max_dets

    def measure(
        self, detections: Sequence[Mapping[str, Any]], *, masks: bool = False, by_bin: bool = False
    ) -> dict[str, float]:
        """See Benchmark."""
        from rgacli.evaluation import coco_metrics, crowdhuman_metrics  # load torch: not where bins alone are asked for
        from rgacli.evaluation.max_dets import max_dets_for  # which asks us for our own number

        number = max_dets_for(self._annotations, self._max_dets).value
        metrics = crowdhuman_metrics.evaluate(self._annotations, self._records, strongest(detections, number))
        if by_bin:
            of_boxes = coco_metrics.evaluate(self._annotations, detections, max_dets=self._max_dets)
            metrics |= _by_bin(of_boxes, self.bins)
        return metrics


def _by_bin(evaluation: Evaluation, bins: Sequence[GTBin]) -> dict[str, float]:
    found = evaluation.by_bin(bins)
    return {gt_bin.metric: found[gt_bin.label]["AP"] for gt_bin in bins}


def benchmark_of(annotations: Mapping[str, Any]) -> type[Benchmark]:
    """Return the benchmark that a dataset belongs to, by what its COCO annotations say they are."""
    return CrowdHuman if is_crowdhuman(annotations) else Coco


def strongest(detections: Sequence[Mapping[str, Any]], number: int) -> list[Mapping[str, Any]]:
    """Return the so many detections of each image that have the highest scores, in the order they came in."""
    scores: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for index, detection in enumerate(detections):
        scores[detection["image_id"]].append((-detection["score"], index))
    kept = {index for own in scores.values() for _, index in sorted(own)[:number]}
    return [detection for index, detection in enumerate(detections) if index in kept]
