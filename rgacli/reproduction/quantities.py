"""The numbers that a measure of a run yields, by the names that claims and tables call them.

| measure | names |
|---|---|
| evaluate, ensemble | AP, AP50, …, mMR of the ensemble or only head; 1:9/AP of a head |
| gt_bins | the same AP, AP50 and AP75, and AP@8+, 1:9/AP@8+ on images of so many objects |
| positives | positives/1:1/early, …/late, …/early_share, …/late_share, …/rise |
| proposals | proposals/all/pearson, …/spearman, …/per_object, proposals/8+/mean, … |
| accuracy | accuracy/1:1/positives/early, …/late, …/whole; accuracy/1:1/negatives/…; accuracy/mean/… of all heads |
| gradients | gradients/lost (the share of the norms that cancels in their sum), gradients/angle, gradients/below |
| scores | scores/1:1/mean; scores/1:1-1:9/mean, …/share, of two heads; scores/1:1@8+/mean of a bin |

Units are the paper's: metrics, accuracies and shares in percent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS

Numbers = Iterator[tuple[str, float]]

_METRICS = ("AP", "AP50", "AP75")


def numbers_of(function: str, result: Any) -> dict[str, float]:
    """Return what a result of one of `rgacli`'s functions tells, by name; what is unknown is left out.

    Args:
        function: A measure, or "ensemble" or "train".
        result: What it returned.
    """
    found = _OF.get(function, _nothing)(result)
    return {name: float(value) for name, value in found if value is not None and not math.isnan(value)}


def _nothing(result: Any) -> Numbers:
    return iter(())


def _whole(heads: Mapping[str, Any]) -> str:
    """Return which of the heads stands for the detector: the ensemble, or the only one."""
    return ENSEMBLE if ENSEMBLE in heads else next(iter(heads))


def _evaluate(result: Any) -> Numbers:
    for head, metrics in result.heads.items():
        for metric, value in metrics.items():
            yield f"{head}/{metric}", 100 * value
            if head == _whole(result.heads):
                yield metric, 100 * value


def _gt_bins(result: Any) -> Numbers:
    heads = {row.head or row.name: None for row in result.rows}
    for row in result.rows:
        head, on_bin = row.head or row.name, "" if row.bin == "all" else f"@{row.bin}"
        for metric in _METRICS:
            value = 100 * getattr(row, metric)
            yield f"{head}/{metric}{on_bin}", value
            if head == _whole(heads):
                yield f"{metric}{on_bin}", value


def _ensemble(result: Any) -> Numbers:
    members = {f"R{number}": row for number, row in enumerate(result.members, start=1)}
    methods = {row.name: row for row in result.methods}
    for name, row in (members | methods).items():
        for metric in _METRICS:
            yield f"{name}/{metric}", 100 * getattr(row, metric)
        for label, value in row.bins.items():
            yield f"{name}/AP@{label}", 100 * value
    whole = methods[next(name for name in ENSEMBLING_METHODS if name in methods)]
    yield from ((metric, 100 * getattr(whole, metric)) for metric in _METRICS)
    yield from ((f"AP@{label}", 100 * value) for label, value in whole.bins.items())


def _positives(result: Any) -> Numbers:
    for row in result.rows:
        for name in ("early", "late", "rise"):
            yield f"positives/{row.head}/{name}", getattr(row, name)
        for name in ("early_share", "late_share"):
            yield f"positives/{row.head}/{name}", 100 * getattr(row, name)


def _proposals(result: Any) -> Numbers:
    for row in result.rows:
        for name in ("mean", "per_object", "pearson", "spearman"):
            yield f"proposals/{row.bin}/{name}", getattr(row, name)


def _accuracy(result: Any) -> Numbers:
    heads = {row.head for row in result.rows}
    for on in ("positives", "negatives"):
        own = {row.head: row for row in result.rows if row.on == on}
        for name in ("early", "late", "whole"):
            for head, row in own.items():
                yield f"accuracy/{head}/{on}/{name}", getattr(row, name)
            if "mean" not in heads and own:  # of a single run, no mean of its heads is among the rows
                values = [getattr(row, name) for row in own.values()]
                yield f"accuracy/mean/{on}/{name}", sum(values) / len(values)


def _gradients(result: Any) -> Numbers:
    heads = next(row for row in result.rows if row.compared == "R-CNN heads")
    yield "gradients/lost", 100 * (1 - heads.ratio)
    yield "gradients/angle", heads.angle
    yield "gradients/below", 100 * heads.below


def _scores(result: Any) -> Numbers:
    for row in result.rows:
        if row.score == "class":
            name = "-".join(row.heads) + ("" if row.bin == "all" else f"@{row.bin}")
            yield f"scores/{name}/mean", row.mean
            yield f"scores/{name}/share", 100 * row.share


_OF: dict[str, Callable[[Any], Numbers]] = {
    "evaluate": _evaluate,
    "gt_bins": _gt_bins,
    "ensemble": _ensemble,
    "positives": _positives,
    "proposals": _proposals,
    "accuracy": _accuracy,
    "gradients": _gradients,
    "scores": _scores,
}
