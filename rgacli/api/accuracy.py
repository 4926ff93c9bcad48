"""The accuracies of heads along their trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.subjects import trainings_of


def accuracy(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    out: Path | None = None,
    style: StyleName = "screen",
) -> Analysis:
    """Show each head's accuracy on positives and on negatives along the training, and validations (paper, Fig. 3).

    It is read from what runs logged; of a cascade, its first stage. Of several runs each is compared with the one
    without RGA: of several such with that of its seed, else with the first named, as where all are without RGA, or
    none. Differences are taken at the same iterations. Their intervals tell how steady they are within these runs, not
    what other seeds would bring.

    Args:
        runs: A run's name or folder, or several to overlay; the latest run without.
        out: Folder of the figure; by default RUN/figures, of several runs figures/.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".

    Returns:
        Rows are `rgacli.analysis.accuracy.rows.Row`.

    Raises:
        UsageError: there is no such run, one stands twice, or none logged accuracies.
    """
    require_style(style)
    trainings, folder = trainings_of(runs)
    from rgacli.analysis.accuracy.finding import Accuracy, collect

    path = place(Accuracy, out or folder)
    return publish(collect(trainings), path, style)
