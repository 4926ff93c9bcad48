"""AP of every head, in bins, with intervals: hotcoco's and ours against pycocotools and, where it is, faster-coco-eval.

pycocotools is used as somebody would who minds the time: each detector is matched once, and its matches accumulated
again for each bin and each sample of images. faster-coco-eval keeps its matches to itself and matches again. Both take
so long for bootstraps that a few are timed and the rest is extrapolated; the record says so.
"""

from __future__ import annotations

import copy
import importlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.bench.coco_sized import DETECTIONS, annotations, detections
from rgacli.data.annotations import gt_counts
from rgacli.engine.machine import version
from rgacli.engine.runner import quiet_stdout
from rgacli.evaluation import coco_metrics
from rgacli.evaluation.gt_bins import DEFAULT_BINS, GTBin, assign, parse_bins
from rgacli.progress import Progress

VARIANTS = ("1:1", "1:9", "ensemble")


@dataclass(frozen=True)
class _Library:
    """One with pycocotools' interface.

    Attributes:
        coco: Module of its `COCO`.
        evaluation: Module of its evaluator.
        evaluator: The evaluator's name.
        keeps_matches: Whether its matches can be accumulated again for some of the images: else it matches them anew.
    """

    coco: str
    evaluation: str
    evaluator: str
    keeps_matches: bool


_LIBRARIES = {
    "pycocotools": _Library("pycocotools.coco", "pycocotools.cocoeval", "COCOeval", True),
    "faster-coco-eval": _Library("faster_coco_eval", "faster_coco_eval", "COCOeval_faster", False),
}
_OPTIONAL = ("faster-coco-eval",)


def measure(
    *,
    images: int = 5000,
    samples: int = 200,
    reference_samples: int = 3,
    bins: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return what it takes to measure each head and the ensemble on made-up detections of COCO's size.

    Args:
        images: Their number, 100 detections each.
        samples: Bootstrap samples for the interval of each bin.
        reference_samples: How many of them are timed with the other libraries; the rest is extrapolated.
        bins: As `parse_bins` reads them; COCO's default ones without.
        progress: Told of each part.

    Returns:
        `seconds` by library and part, `speed_up` of ours by library, and the greatest difference of an AP.
    """
    truth = annotations(images)
    found = {name: detections(truth, seed) for seed, name in enumerate(VARIANTS)}
    asked = DEFAULT_BINS if bins is None else parse_bins(bins)
    missing = [name for name in _OPTIONAL if version(name) is None]
    libraries = {"rgacli": None, **{name: own for name, own in _LIBRARIES.items() if name not in missing}}
    seconds: dict[str, Any] = {}
    values: dict[str, Any] = {}
    few = min(samples, reference_samples)
    for done, (name, library) in enumerate(libraries.items(), start=1):
        with quiet_stdout():
            if library is None:
                seconds[name], values[name] = _ours(truth, found, asked, samples)
            else:
                seconds[name], values[name] = _theirs(library, truth, found, asked, samples, few)
        if progress:
            progress("evaluating", done, len(libraries), f"{name} {seconds[name]['all']:.3g} s")
    others = [name for name in libraries if name != "rgacli"]
    return {
        "settings": {
            "images": images,
            "detections": DETECTIONS * images,
            "variants": list(VARIANTS),
            "bins": [gt_bin.label for gt_bin in asked],
            "samples": samples,
        },
        "seconds": seconds,
        "speed_up": {name: seconds[name]["all"] / seconds["rgacli"]["all"] for name in others},
        "greatest_difference": {name: _difference(values["rgacli"], values[name]) for name in others},
        "extrapolated": f"the others' bootstraps: {few} of {samples} samples a bin were timed"
        if few < samples
        else "nothing",
        "left_out": [f"{name}: not installed" for name in missing],
    }


def _ours(
    truth: Mapping[str, Any], found: Mapping[str, Sequence], bins: Sequence[GTBin], samples: int
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    watch, values = _Watch(), {}
    for name, own in found.items():
        evaluation = watch("matching", lambda own=own: coco_metrics.evaluate(truth, own, max_dets=DETECTIONS))
        values[name, "all"] = watch("metrics", lambda e=evaluation: e.overall)["AP"]
        by_bin = watch("metrics", lambda e=evaluation: e.by_bin(bins))
        values |= {(name, label): metrics["AP"] for label, metrics in by_bin.items()}
        for group in assign(evaluation.gt_counts, bins).values():
            watch("bootstraps", lambda e=evaluation, g=group: coco_metrics.interval(e, g, samples=samples))
    return watch.result(), values


def _theirs(
    library: _Library,
    truth: Mapping[str, Any],
    found: Mapping[str, Sequence],
    bins: Sequence[GTBin],
    samples: int,
    few: int,
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Return seconds by part and values by variant and bin, by a library with pycocotools' interface."""
    watch, values = _Watch(), {}
    groups = assign(gt_counts(truth), bins)
    rng = np.random.default_rng(0)
    for name, own in found.items():
        matched = watch("matching", lambda own=own: _matched(library, truth, own))
        values[name, "all"] = watch("metrics", lambda m=matched: _ap(library, m, list(gt_counts(truth)), areas=4))
        for label, group in groups.items():
            values[name, label] = watch("metrics", lambda m=matched, g=group: _ap(library, m, g, areas=4))
            for _ in range(few):
                drawn = np.unique(rng.choice(group, len(group))).tolist() if group else []
                watch("bootstraps", lambda m=matched, g=drawn: _ap(library, m, g, areas=1))
    watch.seconds["bootstraps"] *= samples / few
    return watch.result(), values


def _matched(library: _Library, truth: Mapping[str, Any], own: Sequence) -> Any:
    """Return the library's evaluator after it has matched a detector with the ground truth."""
    coco = importlib.import_module(library.coco).COCO()
    coco.dataset = copy.deepcopy(dict(truth))
    coco.createIndex()
    found = coco.loadRes(copy.deepcopy(list(own)))
    matched = getattr(importlib.import_module(library.evaluation), library.evaluator)(coco, found, "bbox")
    matched.params.maxDets = [DETECTIONS]
    matched.evaluate()
    return matched


def _ap(library: _Library, matched: Any, images: Sequence[int], areas: int) -> float:
    """Return AP on these images, accumulated over the first of (all, small, medium, large) objects; NaN without any."""
    if not images:
        return math.nan
    params, everything = copy.copy(matched.params), matched.params
    params.imgIds = sorted(images)
    params.areaRng, params.areaRngLbl = everything.areaRng[:areas], everything.areaRngLbl[:areas]
    part = copy.copy(matched)
    part.params = params
    if library.keeps_matches:
        place = {image: index for index, image in enumerate(everything.imgIds)}
        shape = (len(everything.catIds), len(everything.areaRng), len(everything.imgIds))
        table = np.empty(len(matched.evalImgs), dtype=object)
        table[:] = matched.evalImgs
        kept = table.reshape(shape)[:, :areas, [place[image] for image in params.imgIds]]
        part.evalImgs, part._paramsEval = kept.ravel().tolist(), params
    else:
        part.evaluate()
    part.accumulate()
    precision = np.asarray(part.eval["precision"])[..., 0, -1]
    return float(precision[precision > -1].mean()) if (precision > -1).any() else math.nan


def _difference(ours: Mapping[tuple, float], theirs: Mapping[tuple, float]) -> float:
    return float(np.nanmax([abs(ours[key] - theirs[key]) for key in theirs]))


class _Watch:
    """Adds up the time of parts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, part: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start
        return result

    def result(self) -> dict[str, float]:
        """Return part -> seconds, and `all`."""
        return {**self.seconds, "all": sum(self.seconds.values())}
