"""The main results in five sentences: what parallel heads, dispatch and RGA brought here, and which ratios to train."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rgacli.analysis.accuracy.rows import MEAN, Row
from rgacli.analysis.intervals import FEW_IMAGES, is_within
from rgacli.analysis.per_bin import where
from rgacli.analysis.words import in_words
from rgacli.evaluation.coco_metrics import Difference, Evaluation, difference
from rgacli.evaluation.gt_bins import ALL, GTBin, assign
from rgacli.method import ENSEMBLE, parse_head_name
from rgacli.wording import sentence


@dataclass(frozen=True)
class Evidence:
    """What the sentences are derived from.

    Attributes:
        variants: Head, then "ensemble" where there are several heads -> its detections, evaluated.
        bins: Bins that do not overlap.
        oracle: The detections of the best head for each bin; None for a single head.
        baseline: Another detector's name and its detections; None where there is none.
        accuracy: How the runs' accuracies in training compare, as `analysis.accuracy.rows.compare` has it.
        samples: Bootstrap samples behind the intervals.
    """

    variants: Mapping[str, Evaluation]
    bins: Sequence[GTBin]
    oracle: Evaluation | None = None
    baseline: tuple[str, Evaluation] | None = None
    accuracy: Sequence[Row] = ()
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
        """Return "in images with 8+ objects" -> their ids: of most and of fewest objects that are not too few."""
        counts = self.variants[self.best].gt_counts
        groups = assign(counts, self.bins).items()
        found = {where(label): images for label, images in groups if len(images) >= FEW_IMAGES}
        ends = list(found)
        return {name: found[name] for name in dict.fromkeys([*ends[-1:], *ends[:1]])}

    def gain(self, over: Evaluation, of: Evaluation, images: Sequence[int] | None = None) -> Difference:
        """Return AP of one less that of another, with its interval."""
        return difference(over, of, images, samples=self.samples)


def answers(evidence: Evidence) -> list[str]:
    """Return the sentences."""
    texts = (
        _of_the_ensemble(evidence),
        _of_the_heads(evidence),
        _of_dispatch(evidence),
        _of_rga(evidence.accuracy),
        _of_ratios(evidence),
    )
    return list(map(sentence, texts))


def _of_the_ensemble(evidence: Evidence) -> str:
    own = evidence.variants[evidence.best]
    what = "the ensemble" if evidence.best == ENSEMBLE else "the detector"
    if not evidence.baseline and not _is_parallel(evidence):
        return f"{what} has AP {own.overall['AP']:.3f}; there is no other detector to compare it with"
    parts = []
    for place, images in {**evidence.groups(), where(ALL): None}.items():
        if evidence.baseline:
            name, other = evidence.baseline
        else:
            name, other = _best_head(evidence, images)
            name = f"its better head {name}"
        parts.append(f"{place} {in_words(*evidence.gain(other, own, images))} against {name}")
    return f"{what} has AP {own.overall['AP']:.3f}, " + "; ".join(parts)


def _of_the_heads(evidence: Evidence) -> str:
    if not _is_parallel(evidence):
        return "which ratio is best for which images cannot be told from a single head"
    if _are_alike(evidence):
        heads = " and ".join(evidence.heads)
        return f"which ratio is best for which images cannot be told from heads of one ratio, {heads}"
    ordered = sorted(evidence.heads, key=_positives)
    fewest, most = ordered[0], ordered[-1]
    parts = [
        f"{in_words(*evidence.gain(evidence.variants[most], evidence.variants[fewest], images))} {place}"
        for place, images in (evidence.groups() or {where(ALL): None}).items()
    ]
    return f"the head at {fewest}, of fewest positives, has against that at {most} an AP of " + " and ".join(parts)


def _of_dispatch(evidence: Evidence) -> str:
    if evidence.oracle is None or not _is_parallel(evidence):
        return "dispatching images to heads needs several heads"
    gain = evidence.gain(evidence.variants[ENSEMBLE], evidence.oracle)
    return (
        "perfect dispatch, each image to the head that is best for its true number of objects, would add "
        f"{in_words(*gain)} to the ensemble; which head that is was told by these very images, which flatters it"
    )


def _of_rga(rows: Sequence[Row]) -> str:
    found = [row for row in rows if row.baseline and row.on == "positives"]
    found = [row for row in found if row.run == found[0].run]
    if not found or _heads_of(rows, found[0].run) != _heads_of(rows, found[0].baseline):
        return (
            "what RGA brings cannot be told: that takes the logs of a run with it and of one without, with the same "
            "heads"
        )
    row = next((row for row in found if row.head == MEAN), found[0])
    whose = "mean over heads" if row.head == MEAN else f"head {row.head}"
    change = in_words(*row.at_first, decimals=1, unit=" points")
    return (
        f"with RGA, {row.run} has an accuracy on positives of {row.early:.1f} % in the first 20 % of iterations, "
        f"{whose}: against {row.baseline} {change}; other seeds may bring another, and so may what else they differ in"
    )


def _heads_of(rows: Sequence[Row], run: str | None) -> set[str]:
    return {row.head for row in rows if row.run == run}


def _of_ratios(evidence: Evidence) -> str:
    if not _is_parallel(evidence):
        return "recommended: train parallel heads at 1:1 and 1:9, the paper's, to see what they bring here"
    name, head = _best_head(evidence, None)
    ratios = " and ".join(evidence.heads)
    gain = evidence.gain(head, evidence.variants[ENSEMBLE])
    if gain.low > 0:
        found = f"recommended: keep {ratios}; the ensemble is above the best single head, {name}, by {in_words(*gain)}"
    elif gain.high < 0:
        below = in_words(-gain.value, -gain.high, -gain.low)
        found = f"recommended: one head at {name}, the best on these images: above the ensemble of {ratios} by {below}"
    else:
        found = (
            f"recommended: nothing that these images can tell; the ensemble of {ratios} against one head at {name} has "
            f"{in_words(*gain)}: more images or seeds would decide"
        )
    nearer = _nearer(evidence)
    return found + (f". {nearer}" if nearer else "")


def _nearer(evidence: Evidence) -> str:
    """Say which ratio to try where one of two heads is the better on all kinds of images."""
    if len(evidence.heads) != 2 or _are_alike(evidence) or len(groups := evidence.groups()) < 2:
        return ""
    first, second = evidence.heads
    gains = [evidence.gain(evidence.variants[second], evidence.variants[first], images) for images in groups.values()]
    for better, worse, sign in ((first, second, 1), (second, first, -1)):
        if all(not is_within(gain.low, gain.high) and sign * gain.value > 0 for gain in gains):
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


def _are_alike(evidence: Evidence) -> bool:
    """Return whether all heads were trained at the same ratio."""
    return len(set(map(_positives, evidence.heads))) == 1


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
