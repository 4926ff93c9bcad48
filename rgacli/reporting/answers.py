"""The main results in five sentences: what parallel heads, dispatch and RGA brought here, and which ratios to train."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rgacli.evaluation.coco_metrics import Difference, Evaluation, difference
from rgacli.evaluation.gt_bins import GTBin, assign
from rgacli.method import ENSEMBLE, parse_head_name

FEW = 10
"""Images of a bin that nothing is said of."""


@dataclass(frozen=True)
class Evidence:
    """What the sentences are derived from.

    Attributes:
        variants: Head, then "ensemble" where there are several heads -> its detections, evaluated.
        bins: Bins that do not overlap.
        oracle: The detections of the best head for each bin; None for a single head.
        baseline: Another detector's name and its detections; None where there is none.
        rga: What the logs say of RGA; "" where they say nothing.
        samples: Bootstrap samples behind the intervals.
    """

    variants: Mapping[str, Evaluation]
    bins: Sequence[GTBin]
    oracle: Evaluation | None = None
    baseline: tuple[str, Evaluation] | None = None
    rga: str = ""
    samples: int = 200

    @property
    def best(self) -> str:
        """The ensemble, or the only head."""
        return list(self.variants)[-1]

    @property
    def heads(self) -> list[str]:
        """The heads."""
        return [name for name in self.variants if name != ENSEMBLE]

    def groups(self) -> dict[str, list[int]]:
        """Return what images are called -> their ids: those of fewest and of most objects that are not too few."""
        counts = self.variants[self.best].gt_counts
        found = {
            f"images with {label} object{'s' * (label != '1')}": images
            for label, images in assign(counts, self.bins).items()
            if len(images) >= FEW
        }
        ends = list(found)
        return {name: found[name] for name in dict.fromkeys([*ends[-1:], *ends[:1]])}

    def gain(self, over: Evaluation, of: Evaluation, images: Sequence[int] | None = None) -> Difference:
        """Return AP of one less that of another, with its interval."""
        return difference(over, of, images, samples=self.samples)


def answers(evidence: Evidence) -> list[str]:
    """Return the sentences."""
    return [
        _of_the_ensemble(evidence),
        _of_the_heads(evidence),
        _of_dispatch(evidence),
        evidence.rga or "What RGA brought cannot be told: the log of a run with RGA and of one without are needed",
        _of_ratios(evidence),
    ]


def told(found: Difference) -> str:
    """Return "+0.021 (95 %: +0.004 to +0.038)", saying so where that is within its interval."""
    if math.isnan(found.low):
        return f"{_signed(found.value)} (no interval)"
    within = "" if is_told(found) else ", within its interval"
    return f"{_signed(found.value)}{within} (95 %: {_signed(found.low)} to {_signed(found.high)})"


def is_told(found: Difference) -> bool:
    """Return whether a difference is beyond its interval."""
    return found.low > 0 or found.high < 0


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _of_the_ensemble(evidence: Evidence) -> str:
    own = evidence.variants[evidence.best]
    what = "the ensemble" if evidence.best == ENSEMBLE else "the detector"
    if not evidence.baseline and not _is_parallel(evidence):
        return f"{what} has AP {own.overall['AP']:.3f}; there is no other detector to compare it with"
    parts = []
    for where, images in {**evidence.groups(), "all images": None}.items():
        if evidence.baseline:
            name, other = evidence.baseline
        else:
            name, other = _best_head(evidence, images)
            name = f"its better head {name}"
        parts.append(f"in {where} {told(evidence.gain(other, own, images))} over {name}")
    return f"{what} gains in AP " + "; ".join(parts)


def _of_the_heads(evidence: Evidence) -> str:
    if not _is_parallel(evidence):
        return "which ratio is best for which images cannot be told from a single head"
    ordered = sorted(evidence.heads, key=_positives)
    fewest, most = ordered[0], ordered[-1]
    parts = [
        f"{told(evidence.gain(evidence.variants[most], evidence.variants[fewest], images))} in {where}"
        for where, images in (evidence.groups() or {"all images": None}).items()
    ]
    return f"the head at {fewest}, of fewest positives, has against that at {most} an AP of " + " and ".join(parts)


def _of_dispatch(evidence: Evidence) -> str:
    if evidence.oracle is None or not _is_parallel(evidence):
        return "dispatching images to heads needs several heads"
    gain = evidence.gain(evidence.variants[ENSEMBLE], evidence.oracle)
    return (
        f"perfect dispatch, each image to the head that is best for its true number of objects, would add {told(gain)} "
        "to the ensemble"
    )


def _of_ratios(evidence: Evidence) -> str:
    if not _is_parallel(evidence):
        return "recommended: train parallel heads at 1:1 and 1:9, the paper's, to see what they bring here"
    name, head = _best_head(evidence, None)
    ratios = " and ".join(evidence.heads)
    gain = evidence.gain(head, evidence.variants[ENSEMBLE])
    if gain.low > 0:
        found = f"recommended: keep {ratios}; the ensemble is above the best single head, {name}, by {told(gain)}"
    elif gain.high < 0:
        found = f"recommended: one head at {name}; the ensemble of {ratios} is below it by {told(gain)}"
    else:
        found = (
            f"recommended: nothing that this test set can tell; the ensemble of {ratios} against one head at {name} has "
            f"{told(gain)}: more images or seeds would decide"
        )
    nearer = _nearer(evidence)
    return found + (f". {nearer}" if nearer else "")


def _nearer(evidence: Evidence) -> str:
    """Say which ratio to try where one of two heads is the better on all kinds of images."""
    if len(evidence.heads) != 2 or len(groups := evidence.groups()) < 2:
        return ""
    first, second = evidence.heads
    gains = [
        evidence.gain(evidence.variants[second], evidence.variants[first], images) for images in groups.values()
    ]
    for better, worse, sign in ((first, second, 1), (second, first, -1)):
        if all(is_told(gain) and sign * gain.value > 0 for gain in gains):
            between = _between(better, worse)
            return f"Head {better} is the better in both, so a ratio nearer to it, such as {between}, may serve better"
    return ""


def _between(a: str, b: str) -> str:
    """Return the ratio between two: of "1:1" and "1:9" "1:3", by the geometric mean of negatives for a positive."""
    ratios = [parse_head_name(name) for name in (a, b)]
    odds = math.sqrt(math.prod(ratio.negatives / ratio.positives for ratio in ratios))
    return f"1:{odds:.2g}" if odds >= 1 else f"{1 / odds:.2g}:1"


def _is_parallel(evidence: Evidence) -> bool:
    return len(evidence.heads) > 1


def _best_head(evidence: Evidence, images: Sequence[int] | None) -> tuple[str, Evaluation]:
    def ap(name: str) -> float:
        own = evidence.variants[name]
        value = own.overall["AP"] if images is None else own.on({"": images})[""]["AP"]
        return -1.0 if math.isnan(value) else value

    name = max(evidence.heads, key=ap)
    return name, evidence.variants[name]


def _positives(head: str) -> float:
    ratio = parse_head_name(head)
    return ratio.positive_fraction if ratio else math.nan

