"""The positives that heads drew along their trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.subjects import trainings_of


def positives(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    out: Path | None = None,
    style: StyleName = "screen",
) -> Analysis:
    """Count the positives that each head really drew per image, along the training (paper, Fig. 1a).

    It is read from what runs logged; of a cascade, its first stage.

    Args:
        runs: A run's name or folder, or several to overlay; the latest run without.
        out: Folder of the figure; by default RUN/figures, of several runs figures/.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".

    Returns:
        Rows are `rgacli.analysis.positives.Row`.

    Raises:
        UsageError: there is no such run, one stands twice, or none logged what its heads drew.
    """
    require_style(style)
    trainings, folder = trainings_of(runs)
    from rgacli.analysis.positives import Positives, collect

    path = place(Positives, out or folder)
    return publish(collect(trainings), path, style)
