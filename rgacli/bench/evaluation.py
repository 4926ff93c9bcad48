"""AP of every head, in bins, with intervals: hotcoco's and ours against pycocotools and, where it is, faster-coco-eval.

pycocotools is used as somebody would who minds the time: each detector is matched once, and its matches accumulated
again for each bin and each sample of images. Its bootstraps take so long that a few are timed and the rest is
extrapolated; the record says so.
"""

from __future__ import annotations

import copy
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from rgacli.bench.coco_sized import DETECTIONS, annotations, detections
from rgacli.bench.machine import version
from rgacli.data.annotations import gt_counts
from rgacli.engine.runner import quiet_stdout
from rgacli.evaluation import coco_metrics
from rgacli.evaluation.gt_bins import DEFAULT_BINS, GTBin, assign, parse_bins
from rgacli.progress import Progress

VARIANTS = ("1:1", "1:9", "ensemble")
_REFERENCES = {"pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCOeval")}
_OPTIONAL = {"faster-coco-eval": ("faster_coco_eval", "faster_coco_eval", "COCOeval_faster")}


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
    libraries = {"rgacli": None, **_REFERENCES}
    missing = [name for name in _OPTIONAL if version(name) is None]
    libraries |= {name: where for name, where in _OPTIONAL.items() if name not in missing}
    seconds: dict[str, Any] = {}
    values: dict[str, Any] = {}
    few = min(samples, reference_samples)
    for done, (name, where) in enumerate(libraries.items(), start=1):
        with quiet_stdout():
            if where is None:
                seconds[name], values[name] = _ours(truth, found, asked, samples)
            else:
                seconds[name], values[name] = _theirs(where, truth, found, asked, samples, few)
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
    where: tuple[str, str, str],
    truth: Mapping[str, Any],
    found: Mapping[str, Sequence],
    bins: Sequence[GTBin],
    samples: int,
    few: int,
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Return seconds by part and values by variant and bin, by a library with pycocotools' interface."""
    coco, evaluator = (importlib.import_module(module) for module in where[:2])
    watch, values = _Watch(), {}
    groups = assign(gt_counts(truth), bins)
    rng = np.random.default_rng(0)
    for name, own in found.items():
        matched = watch("matching", lambda own=own: _matched(coco, getattr(evaluator, where[2]), truth, own))
        values[name, "all"] = watch("metrics", lambda m=matched: _ap(m, m.params.imgIds, areas=4))
        for label, group in groups.items():
            values[name, label] = watch("metrics", lambda m=matched, g=group: _ap(m, g, areas=4))
            for _ in range(few):
                drawn = np.unique(rng.choice(group, len(group))).tolist() if group else []
                watch("bootstraps", lambda m=matched, g=drawn: _ap(m, g, areas=1))
    watch.seconds["bootstraps"] = watch.seconds.get("bootstraps", 0.0) * samples / max(few, 1)
    return watch.result(), values


def _matched(coco: ModuleType, evaluator: Callable[..., Any], truth: Mapping[str, Any], own: Sequence) -> Any:
    gt = coco.COCO()
    gt.dataset = copy.deepcopy(dict(truth))
    gt.createIndex()
    matched = evaluator(gt, gt.loadRes(copy.deepcopy(list(own))), "bbox")
    matched.params.maxDets = [DETECTIONS]
    matched.evaluate()
    return matched


def _ap(matched: Any, images: Sequence[int], areas: int) -> float:
    """Return AP on these images, accumulated over the first of (all, small, medium, large) objects."""
    params = copy.copy(matched.params)
    params.imgIds = list(images)
    params.areaRng, params.areaRngLbl = params.areaRng[:areas], params.areaRngLbl[:areas]
    matched.accumulate(params)
    precision = matched.eval["precision"][..., 0, -1]
    return float(precision[precision > -1].mean()) if (precision > -1).any() else float("nan")


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
