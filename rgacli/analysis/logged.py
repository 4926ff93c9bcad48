"""What trainings logged of their heads: what each drew, how well it did on that, and what validations found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config

from rgacli.analysis.figures import abbreviated
from rgacli.config.recipe import annealing_config, bbox_head_configs, positive_quotas, variant_names
from rgacli.config.run_record import Validation, validation_of
from rgacli.errors import UsageError
from rgacli.wording import param

POSITIVES, ON_POSITIVES, ON_NEGATIVES = "positives", "acc_pos", "acc_neg"
"""As `engine.sampling_statistics` logs them of each head: positives per image, accuracies in percent."""


@dataclass(frozen=True)
class TrainingLog:
    """What a training logged.

    Attributes:
        name: What tells it apart from others.
        lambda0: Of RGA; 1 without.
        anneal: Of RGA.
        seed: That it was trained with; None if that was left to chance.
        quotas: Head -> positives that its sampler asks for in an image; none of a detector without parallel heads.
        is_cascade: Whether there are several stages: statistics and quotas are then the first one's.
        has_heads: Whether it has bbox heads at all, as two-stage detectors do.
        iterations: (N,), of the lines that tell of heads; a line tells of those since the line before.
        statistics: Name and head -> its values (N,), NaN where nothing was logged.
        validations: In their order.
    """

    name: str
    lambda0: float
    anneal: str
    seed: int | None
    quotas: Mapping[str, int]
    is_cascade: bool
    has_heads: bool
    iterations: np.ndarray
    statistics: Mapping[tuple[str, str], np.ndarray]
    validations: Sequence[Validation]

    def of(self, statistic: str) -> dict[str, np.ndarray]:
        """Return head -> values (N,), of the heads that have any."""
        return {head: values for (name, head), values in self.statistics.items() if name == statistic}

    @property
    def label(self) -> str:
        """What it is called in a legend: its name, and its method."""
        return f"{abbreviated(self.name)} ({self.method})"

    @property
    def method(self) -> str:
        """What RGA it was trained with: "λ0 7", "no RGA"."""
        kept = ", not annealed" if self.anneal == "none" else ""
        return f"λ0 {self.lambda0:g}{kept}" if self.lambda0 != 1 else "no RGA"


def read(name: str, cfg: Config, lines: Sequence[Mapping[str, Any]]) -> TrainingLog:
    """Return what a training logged.

    Args:
        name: What tells it apart from others.
        cfg: Its config.
        lines: As `engine.metrics_log.read_metrics` returns them.
    """
    variants, annealing, stages = variant_names(cfg), annealing_config(cfg), bbox_head_configs(cfg)
    found: dict[int, dict[tuple[str, str], float]] = {}
    validations: list[Validation] = []
    step: Mapping[str, Any] = {}
    for line in lines:
        if any("/" in key for key in line):
            validations.append(validation_of(line, step))
            continue
        if "loss" in line:  # probes of gradients are lines of their own
            step = line
        values = {place: line[key] for key in line if (place := statistic_of(key, variants)) and line[key] is not None}
        if values:
            found[line["step"]] = values
    iterations = sorted(found)
    places = dict.fromkeys(
        (name, head)
        for name in (POSITIVES, ON_POSITIVES, ON_NEGATIVES)
        for head in variants.values()
        if any((name, head) in values for values in found.values())
    )
    return TrainingLog(
        name=name,
        lambda0=annealing.get("lambda0", 1.0),
        anneal=annealing.get("anneal", ""),
        seed=cfg.get("randomness", {}).get("seed"),
        quotas=positive_quotas(cfg),
        is_cascade=len(stages) > 1,
        has_heads=bool(stages),
        iterations=np.array(iterations, dtype=int),
        statistics={
            place: np.array([found[step].get(place, np.nan) for step in iterations], dtype=float) for place in places
        },
        validations=validations,
    )


def statistic_of(key: str, variants: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the statistic and the head that a logged value is of: of "1to9.acc_pos", "acc_pos" and "1:9".

    Of a cascade's they are the first stage's: of "s1.1to9.acc_pos", nothing.

    Args:
        key: What it is logged as.
        variants: As `method.variant_names` returns them.
    """
    *parts, name = key.split(".")
    if not parts or name not in (POSITIVES, ON_POSITIVES, ON_NEGATIVES) or parts[0] not in (parts[-1], "s0"):
        return None
    head = variants.get(parts[-1])
    return (name, head) if head else None


def stage_note(trainings: Sequence[TrainingLog]) -> str:
    """Return what a title adds where a training is a cascade's: that statistics are the first stage's."""
    return ", first stage" if any(training.is_cascade for training in trainings) else ""


def require_heads(trainings: Sequence[TrainingLog]) -> None:
    """Raise a UsageError unless a training logged what its heads drew; says why none did."""
    if any(training.statistics for training in trainings):
        return
    first = trainings[0]
    if not first.has_heads:
        raise UsageError(f"run {first.name} trained a detector without R-CNN heads: it samples no proposals.")
    if not first.quotas:
        raise UsageError(
            f"run {first.name} trained mmdet's own heads, which log neither positives nor accuracies on them; trained "
            f"with {param('ratios', '1:3')} {param('lambda0', 1)}, the same detector logs them."
        )
    raise UsageError(f"run {first.name} logged nothing yet of what its heads drew.")
