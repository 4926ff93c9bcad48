"""How many positives each head really drew along a training, of those that its ratio asks for (paper, Fig. 1a)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import figures, smoothing, style, words
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.intervals import estimate_of
from rgacli.analysis.logged import POSITIVES, TrainingLog, require_heads, stage_note
from rgacli.analysis.steadiness import first_part, last_part, rise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EARLY, LATE = 0.05, 0.2
"""Of the iterations, those that are early at the beginning, and late at the end."""
REACHED = 0.9


@dataclass(frozen=True)
class Row:
    """What one head drew; numbers are positives per image, of a cascade its first stage's.

    Attributes:
        run: The run's name.
        head: The head's.
        quota: What its ratio asks for.
        early, early_share: Mean over the first 5 % of iterations, and its share of the quota.
        early_until: The last of those iterations.
        late, late_share: The same over the last 20 %.
        late_from: The first of those.
        rise, rise_low, rise_high: Late less early, with its 95 % interval; NaN where too little was logged.
        reached: The iteration from which the smoothed curve is at 90 % of the late mean; None if it is not.
    """

    run: str
    head: str
    quota: int
    early: float
    early_share: float
    early_until: int
    late: float
    late_share: float
    late_from: int
    rise: float
    rise_low: float
    rise_high: float
    reached: int | None


@dataclass(frozen=True)
class Positives(Finding):
    """Positives drawn along trainings.

    Attributes:
        trainings: In their order.
        rows: Per run, one of each head.
    """

    name: ClassVar[str] = "positives"
    title: ClassVar[str] = "sampled positives per image"
    paper: ClassVar[str] = (
        "early in training far fewer positives are found than the sampler asks for; this is relieved gradually as the "
        "RPN gets better (Sec. 1, Fig. 1a)"
    )
    trainings: Sequence[TrainingLog]
    rows: Sequence[Row]

    @property
    def about(self) -> dict[str, Any]:
        """The runs, and the shares of their iterations that are early and late."""
        return {"runs": [training.name for training in self.trainings], "early": EARLY, "late": LATE}

    def conclusion(self) -> str:
        """Say of each head what it drew early and late, and whether the one can be told from the other."""
        by_run: dict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            by_run[row.run].append(_told(row))
        when = "positives drawn in the first 5 % and in the last 20 % of iterations"
        return f"{when}: " + "; ".join(f"{run}, {', '.join(heads)}" for run, heads in by_run.items())

    def tables(self) -> list[Table]:
        """Return the rows as one table."""
        several = len(self.trainings) > 1
        columns = {"run": "run"} if several else {}
        columns |= {"head": "head", "quota": "asked for", "early": "first 5 %"}
        columns |= (
            {"late": "last 20 %"} if several else {"early_until": "until", "late": "last 20 %", "late_from": "from"}
        )
        columns |= {"reached": "90 % of it at"}
        shown = [
            {
                **asdict(row),
                "early": f"{row.early:.1f} ({100 * row.early_share:.0f} %)",
                "late": f"{row.late:.1f} ({100 * row.late_share:.0f} %)",
            }
            for row in self.rows
        ]
        title = self.title + stage_note(self.trainings) + ("" if several else f": {self.trainings[0].name}")
        return [Table(title, columns, shown, group="run" if several else None)]

    def points(self) -> list[dict[str, Any]]:
        """Return what was logged of each head, and the same smoothed."""
        return [
            dict(
                run=training.name, head=head, iteration=int(x), positives=y, smoothed=mean, quota=training.quotas[head]
            )
            for training in self.trainings
            for head, values in training.of(POSITIVES).items()
            for x, y, mean in zip(training.iterations, values, smoothing.smoothed(values), strict=True)
        ]

    def draw(self) -> Figure:
        """Draw Fig. 1a: a panel per head, positives per image over iterations, and its quota dashed.

        A panel is as high as the quota: heights are shares of it.
        """
        heads = list(dict.fromkeys(row.head for row in self.rows))
        looks = self._looks
        figure, axes = figures.panels(len(heads), panel=(3.6, 2.6))
        for axis, head in zip(axes, heads, strict=True):
            self._draw_head(axis, head, looks)
        axes[0].set_ylabel(f"positives per image{stage_note(self.trainings)}")
        figure.supxlabel("iteration", fontsize="medium")
        if len(self.trainings) > 1:
            drawn = {row.run: replace(looks[row.run, row.head], marker="") for row in self.rows}
            named = [(one.label, drawn[one.name]) for one in self.trainings if one.name in drawn]
            figures.legend_above(figure, named)
        return figure

    @property
    def _looks(self) -> dict[tuple[str, str], style.Look]:
        """How (run, head)s are drawn: of several runs, solid in every head's panel."""
        if len(self.trainings) == 1:
            return style.looks([(row.run, row.head) for row in self.rows])
        by_run = style.looks([(one.name, "") for one in self.trainings])  # those that have nothing to show as well
        return {(row.run, row.head): by_run[row.run, ""] for row in self.rows}

    def _draw_head(self, axis: Axes, head: str, looks: Mapping[tuple[str, str], style.Look]) -> None:
        having = [one for one in self.trainings if head in one.of(POSITIVES)]
        for training in having:
            smoothing.draw(axis, training.iterations, training.of(POSITIVES)[head], looks[training.name, head])
        quotas = {training.quotas[head] for training in having}
        for quota in quotas:
            axis.axhline(quota, color=style.current().muted, linestyle=(0, (5, 3)), linewidth=1, zorder=1)
        asked = " or ".join(map(str, sorted(quotas)))
        axis.set_title(f"head {head} (dashed: the {asked} asked for)", fontsize="medium")
        axis.set_xlim(0, 1.02 * max(training.iterations[-1] for training in having))
        axis.set_ylim(0, 1.06 * max(quotas))
        axis.yaxis.get_major_locator().set_params(integer=True)


def collect(trainings: Sequence[TrainingLog]) -> Positives:
    """Return what the heads of trainings drew.

    Args:
        trainings: As `logged.read` returns them; those of detectors without parallel heads have nothing to tell.

    Raises:
        UsageError: none has anything to tell.
    """
    require_heads(trainings)
    rows = [_row(training, head, values) for training in trainings for head, values in training.of(POSITIVES).items()]
    return Positives(trainings, rows)


def _row(training: TrainingLog, head: str, values: np.ndarray) -> Row:
    iterations, quota = training.iterations, training.quotas[head]
    is_early, is_late = first_part(iterations, EARLY), last_part(iterations, LATE)
    early, late = np.nanmean(values[is_early]), np.nanmean(values[is_late])
    smooth = smoothing.smoothed(values)
    return Row(
        run=training.name,
        head=head,
        quota=quota,
        early=float(early),
        early_share=float(early / quota),
        early_until=int(iterations[is_early][-1]),
        late=float(late),
        late_share=float(late / quota),
        late_from=int(iterations[is_late][0]),
        **rise(values[is_early], values[is_late]).named("rise"),
        reached=next(map(int, iterations[smooth >= REACHED * late]), None),
    )


def _told(row: Row) -> str:
    change = words.in_words(*estimate_of(row, "rise"), decimals=1)
    return f"head {row.head} {row.early:.1f} and {row.late:.1f} of the {row.quota} asked for, {change}"
