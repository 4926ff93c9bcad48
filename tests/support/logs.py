"""Trainings as they are read from logs, made in no time."""

from __future__ import annotations

import numpy as np

from rgacli.analysis.logged import ON_NEGATIVES, ON_POSITIVES, POSITIVES, TrainingLog
from rgacli.config.run_record import Validation


def training(
    name="run", *, lambda0=1.0, seed=0, quotas=None, cascade=False, every=5, scores=(), **values
) -> TrainingLog:
    """A training that logged every so many iterations.

    Args:
        name, lambda0, seed, quotas: Its own; quotas are 10 without.
        cascade: Whether it has stages.
        every: Iterations between lines.
        scores: The ensemble's AP after each epoch; that of head 1:1 is 0.1 less.
        values: "positives", "acc_pos", "acc_neg" -> head -> what was logged, line by line.
    """
    assert set(values) <= {POSITIVES, ON_POSITIVES, ON_NEGATIVES}
    found = {
        (statistic, head): np.array(lines, dtype=float)
        for statistic, heads in values.items()
        for head, lines in heads.items()
    }
    heads = dict.fromkeys(head for _, head in found)
    validations = [
        Validation(epoch, 10 * epoch, {"1:1": {"AP": score - 0.1}, "ensemble": {"AP": score}}, {}, "AP", score)
        for epoch, score in enumerate(scores, start=1)
    ]
    return TrainingLog(
        name=name,
        lambda0=lambda0,
        anneal="linear",
        seed=seed,
        quotas=quotas or dict.fromkeys(heads, 10),
        is_cascade=cascade,
        has_heads=True,
        iterations=every * np.arange(1, 1 + max(map(len, found.values()), default=0)),
        statistics=found,
        validations=validations,
    )
