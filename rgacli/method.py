"""The words of the method, without torch: λ0 and annealing, sampling ratios, and the names of heads and variants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rgacli.errors import UsageError

LAMBDA0 = 7.0
"""The paper's λ0 (Table 4)."""
RATIOS = ("1:1", "1:9")
"""The paper's sampling ratios (Table 5)."""
ANNEAL_MODES = ("linear", "none")
SAMPLING_MODES = ("soft", "hard")

ENSEMBLE = "ensemble"
"""The variant that is the paper's average ensemble of all heads (Sec. 3.2)."""
WHOLE = "detector"
"""The only variant of a detector without parallel heads."""


@dataclass(frozen=True)
class SamplingRatio:
    """`positives` : `negatives` among the RoIs sampled to train one R-CNN module (paper, Sec. 3.2)."""

    positives: int
    negatives: int

    @classmethod
    def parse(cls, text: str) -> SamplingRatio:
        """ "1:9" -> SamplingRatio(1, 9).

        Raises:
            UsageError: not of the form P:N with two whole numbers of at least 1.
        """
        match = re.fullmatch(r"\s*(\d{1,6})\s*:\s*(\d{1,6})\s*", text)
        if not match:
            raise UsageError(f"sampling ratio '{text}' is not of the form POSITIVES:NEGATIVES, such as 1:9.")
        positives, negatives = int(match[1]), int(match[2])
        if not positives or not negatives:
            raise UsageError(
                f"sampling ratio '{text}' leaves a head without {'positives' if not positives else 'negatives'}; "
                "both sides must be at least 1."
            )
        return cls(positives, negatives)

    @property
    def positive_fraction(self) -> float:
        """p / (p + n): mmdet's `pos_fraction`."""
        return self.positives / (self.positives + self.negatives)

    def __str__(self) -> str:
        return f"{self.positives}:{self.negatives}"


def parse_ratios(text: str | Sequence[str]) -> tuple[SamplingRatio, ...]:
    """ "1:1,1:9" (or a sequence of such ratios) -> one SamplingRatio per head. Duplicates are allowed (Table 5)."""
    parts = text.split(",") if isinstance(text, str) else text
    if not parts:
        raise UsageError("no sampling ratio given; one per head is needed, such as 1:1,1:9.")
    return tuple(SamplingRatio.parse(part) for part in parts)


def head_names(ratios: Sequence[SamplingRatio]) -> tuple[str, ...]:
    """One distinct name per head: its ratio, and a running number where a ratio stands twice ("1:1", "1:1#2")."""
    seen: Counter[SamplingRatio] = Counter()
    names = []
    for ratio in ratios:
        seen[ratio] += 1
        names.append(str(ratio) if seen[ratio] == 1 else f"{ratio}#{seen[ratio]}")
    return tuple(names)


def slug(name: str) -> str:
    """A head's name where ':' may not stand, as in file names, loss names and TensorBoard tags: "1:9" -> "1to9"."""
    return name.replace(":", "to").replace("#", "_")


def names_by_slug(ratios: Sequence[SamplingRatio]) -> dict[str, str]:
    """Slug -> name of each head, in their order: {"1to1": "1:1", "1to9": "1:9"}."""
    return {slug(name): name for name in head_names(ratios)}


def box_head_index(ratios: Sequence[SamplingRatio]) -> int:
    """The head whose boxes the ensemble takes: the highest positive fraction, ties to the first (paper, Sec. 3.2)."""
    fractions = [ratio.positive_fraction for ratio in ratios]
    return fractions.index(max(fractions))
