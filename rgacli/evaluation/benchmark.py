"""What differs between datasets in how detections are measured: COCO's way, and CrowdHuman's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rgacli.data.annotations import Annotations, has_masks, is_crowdhuman
from rgacli.data.crowdhuman import official_records
from rgacli.evaluation.gt_bins import CROWD_BINS, DEFAULT_BINS, GTBin

_MASK_METRICS = ("AP", "AP50", "AP75")


class Benchmark(Protocol):
    """How detections on a dataset are measured.

    Args:
        annotations: The dataset's, a COCO dict.
        path: Their file; what else is needed is named in it or lies beside it.
        max_dets: How many of an image's detections count; None for `max_dets_for`'s number.

    Attributes:
        name: Prefix of its metrics in a run's log.
        title: What it is called.
        bins: Bins of the number of objects in an image, where none are named.
        max_detections: How many of an image's detections count by its own rules, those of the highest scores.

    Raises:
        DataError: what else is needed is not there or does not fit the annotations.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    bins: ClassVar[tuple[GTBin, ...]]
    max_detections: ClassVar[int]

    def __init__(self, annotations: Annotations, path: Path, max_dets: int | None = None) -> None: ...

    def measure(self, detections: Sequence[Mapping[str, Any]], *, masks: bool = False) -> dict[str, float]:
        """Return metric -> value, in [0, 1], NaN where unknown.

        Args:
            detections: In COCO's results format, of all images.
            masks: Whether they have masks ("segmentation").
        """
        ...


class Coco:
    """COCO's AP, AP50, AP75, APs, APm and APl of boxes, and mask_AP, mask_AP50, mask_AP75 of masks: of any dataset."""

    name = "coco"
    title = "COCO"
    bins = DEFAULT_BINS
    max_detections = 100

    def __init__(self, annotations: Annotations, path: Path, max_dets: int | None = None) -> None:
        self._annotations, self._max_dets = annotations, max_dets

    def measure(self, detections: Sequence[Mapping[str, Any]], *, masks: bool = False) -> dict[str, float]:
        """See Benchmark."""
        from rgacli.evaluation.coco_metrics import evaluate  # which asks us how many detections count

        metrics = evaluate(self._annotations, detections, max_dets=self._max_dets).overall
        if masks and has_masks(self._annotations):
            of_masks = evaluate(self._annotations, detections, masks=True, max_dets=self._max_dets).overall
            metrics = metrics | {f"mask_{key}": of_masks[key] for key in _MASK_METRICS}
        return metrics


class CrowdHuman:
    """CrowdHuman's mMR, AP50 and JI of boxes, from the official annotations that its COCO annotations were made of."""

    name = "crowdhuman"
    title = "CrowdHuman"
    bins = CROWD_BINS
    max_detections = 500  # all that a detector is configured to yield: some images hold more than COCO's 100 persons

    def __init__(self, annotations: Annotations, path: Path, max_dets: int | None = None) -> None:
        self._annotations, self._records = annotations, official_records(annotations, path)
        self._max_dets = max_dets

    def measure(self, detections: Sequence[Mapping[str, Any]], *, masks: bool = False) -> dict[str, float]:
        """See Benchmark."""
        from rgacli.evaluation.crowdhuman_metrics import evaluate  # loads torch: not where bins alone are asked for
        from rgacli.evaluation.max_dets import max_dets_for  # which asks us for our own number

        number = max_dets_for(self._annotations, self._max_dets).value
        return evaluate(self._annotations, self._records, _strongest(detections, number))


def benchmark_of(annotations: Mapping[str, Any]) -> type[Benchmark]:
    """Return the benchmark that a dataset belongs to, by what its COCO annotations say they are."""
    return CrowdHuman if is_crowdhuman(annotations) else Coco


def _strongest(detections: Sequence[Mapping[str, Any]], number: int) -> list[Mapping[str, Any]]:
    """Return the so many detections of each image that have the highest scores, in the order they came in."""
    scores: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for index, detection in enumerate(detections):
        scores[detection["image_id"]].append((-detection["score"], index))
    kept = {index for own in scores.values() for _, index in sorted(own)[:number]}
    return [detection for index, detection in enumerate(detections) if index in kept]
