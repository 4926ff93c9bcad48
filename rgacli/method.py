"""The words of the method, without torch: λ0 and annealing, sampling ratios, and the names of heads and variants."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rgacli.errors import UsageError
from rgacli.wording import param

LAMBDA0 = 7.0
"""The paper's λ0 (Table 4)."""
RATIOS = ("1:1", "1:9")
"""The paper's sampling ratios (Table 5)."""
ANNEAL_MODES = ("linear", "none")
SAMPLING_MODES = ("soft", "hard")
HEAD_LOSSES = ("sum", "mean")
DRAWS = ("independent", "nested")

ENSEMBLING_METHODS = ("ensemble", "average-probs", "average-boxes", "joint-nms", "wbf", "dispatch", "oracle")
"""Ways of combining heads or detectors; the first is the paper's."""

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
        """Return SamplingRatio(1, 9) of "1:9".

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
    """Return one SamplingRatio per head of "1:1,1:9", or of such texts. Duplicates are allowed (Table 5)."""
    parts = text.split(",") if isinstance(text, str) else text
    if not parts:
        raise UsageError("no sampling ratio given; one per head is needed, such as 1:1,1:9.")
    return tuple(SamplingRatio.parse(part) for part in parts)


def head_names(ratios: Sequence[SamplingRatio]) -> tuple[str, ...]:
    """Return a distinct name per head: its ratio, with a number where a ratio stands twice ("1:1", "1:1#2")."""
    seen: Counter[SamplingRatio] = Counter()
    names = []
    for ratio in ratios:
        seen[ratio] += 1
        names.append(str(ratio) if seen[ratio] == 1 else f"{ratio}#{seen[ratio]}")
    return tuple(names)


def parse_head_name(name: str) -> SamplingRatio | None:
    """Return the ratio of the head that bears a name, as `head_names` gives them; None of any other name."""
    match = re.fullmatch(r"([1-9]\d{0,5}:[1-9]\d{0,5})(?:#\d+)?", name)
    return SamplingRatio.parse(match[1]) if match else None


def slug(name: str) -> str:
    """Return a head's name where ":" may not stand (files, loss names, TensorBoard tags): "1to9" of "1:9"."""
    return name.replace(":", "to").replace("#", "_")


def unslug(text: str) -> str:
    """Return the name that `slug` was made of; of other variants, the same: "ensemble"."""
    return re.sub(
        r"^(\d+)to(\d+)(?:_(\d+))?$", lambda part: f"{part[1]}:{part[2]}" + f"#{part[3]}" * bool(part[3]), text
    )


def names_by_slug(ratios: Sequence[SamplingRatio]) -> dict[str, str]:
    """Return slug -> name of each head, in their order: {"1to1": "1:1", "1to9": "1:9"}."""
    return {slug(name): name for name in head_names(ratios)}


def box_head_index(ratios: Sequence[SamplingRatio]) -> int:
    """Return the head whose boxes the ensemble takes: of the highest positive fraction, the first (Sec. 3.2)."""
    fractions = [ratio.positive_fraction for ratio in ratios]
    return fractions.index(max(fractions))


def variant_names(ratios: Sequence[SamplingRatio]) -> dict[str, str]:
    """Return variant, as files are named -> what it is called: {"1to1": "1:1", …, "ensemble": "ensemble"}.

    A detector without parallel heads (no ratios) is one whole; the ensemble, of several heads, comes last.
    """
    heads = names_by_slug(ratios)
    if not heads:
        return {WHOLE: WHOLE}
    return {**heads, ENSEMBLE: ENSEMBLE} if len(heads) > 1 else heads


def select_variants(head: str, names: Mapping[str, str]) -> list[str]:
    """Return the variants that are meant by a head's name.

    Args:
        head: "ensemble", "all", a head's name ("1:9", "1:1#2") or its index.
        names: As `variant_names` returns them.

    Raises:
        UsageError: there is no such head; says which there are.
    """
    variants = list(names)
    heads = [variant for variant in variants if variant != ENSEMBLE]
    if head == "all":
        return variants
    if head == ENSEMBLE:
        return variants[-1:]  # of a single head, the ensemble is that head
    if head.isdecimal() and int(head) < len(heads):
        return [heads[int(head)]]
    by_name = {name: variant for variant, name in names.items()}
    if head in by_name:
        return [by_name[head]]
    if len(heads) == 1:
        raise UsageError(
            f"{param('head', head)}: this detector has a single head ({names[heads[0]]}); leave out {param('head')}."
        )
    raise UsageError(
        f"{param('head', head)}: this detector has {', '.join(names[variant] for variant in heads)} "
        f"(or their index 0 to {len(heads) - 1}), '{ENSEMBLE}' and 'all'."
    )


@dataclass(frozen=True)
class RGA:
    """R-CNN Gradient Annealing (paper, Sec. 3.1 and Eq. 1).

    Attributes:
        lambda0: The factor on the heads' gradients at the first step, at least 1 (no RGA).
        anneal: "linear": it falls to 1 at the last step; "none": it stays (Table 4's control).

    Raises:
        UsageError: a value is out of range.
    """

    lambda0: float = LAMBDA0
    anneal: str = "linear"

    def __post_init__(self) -> None:
        is_number = isinstance(self.lambda0, (int, float))
        if not is_number or not 1 <= self.lambda0 < math.inf:
            given = format(self.lambda0, "g") if is_number else self.lambda0
            raise UsageError(
                f"{param('lambda0', given)}: it must be a finite number, at least 1 (no RGA); the paper's is 7."
            )
        object.__setattr__(self, "lambda0", float(self.lambda0))
        if self.anneal not in ANNEAL_MODES:
            raise UsageError(f"{param('anneal', self.anneal)}: it can be {' or '.join(ANNEAL_MODES)}.")

    def at(self, step: int, total_steps: int) -> float:
        """Return λ(t) = λ0 − (λ0 − 1)·t/T (Eq. 1).

        Args:
            step: t, optimizer steps done so far: 0 … T−1.
            total_steps: T, optimizer steps in all.
        """
        if self.anneal == "none":
            return self.lambda0
        return self.lambda0 - (self.lambda0 - 1) * step / total_steps


@dataclass(frozen=True)
class PRM:
    """Parallel R-CNN Modules (paper, Sec. 3.2).

    Attributes:
        ratios: Positive:negative, one per head.
        sampling: "soft" (the paper's) or "hard" (Table 8's control).
        head_loss: "sum" of the K heads' losses (the paper's) or their "mean".
        draws: "independent" (the paper's) or "nested": whether each head samples an image in a random order of its own,
            or all in one.

    Raises:
        UsageError: there is no ratio, a value is none of its names, or two of them do not go together.
    """

    ratios: tuple[SamplingRatio, ...]
    sampling: str = "soft"
    head_loss: str = "sum"
    draws: str = "independent"

    def __post_init__(self) -> None:
        if not self.ratios:
            raise UsageError(f"{param('ratios')}: one per head is needed, such as 1:1,1:9.")
        for name, known in (("sampling", SAMPLING_MODES), ("head_loss", HEAD_LOSSES), ("draws", DRAWS)):
            if getattr(self, name) not in known:
                raise UsageError(f"{param(name, getattr(self, name))}: it can be {' or '.join(known)}.")
        if self.draws == "nested" and self.sampling == "hard":
            raise UsageError(
                f"{param('draws', 'nested')} is defined for soft sampling only, not with {param('sampling', 'hard')}."
            )

    def require_sampler(self, name: str) -> None:
        """Raise a UsageError unless mmdet's sampler of this name can sample so."""
        name = name.rpartition(".")[2]  # without a registry's scope
        for setting in ("sampling", "draws"):
            value = getattr(self, setting)
            if value in ("hard", "nested") and name != "RandomSampler":
                raise UsageError(
                    f"{param(setting, value)} is defined for RandomSampler only; this config samples by {name}."
                )
