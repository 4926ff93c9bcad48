"""How well heads did on positives and on negatives along a training, and in validation (paper, Sec. 4.3, Fig. 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import figures, smoothing, style
from rgacli.analysis.accuracy.rows import EARLY, MEAN, Row, compare, told
from rgacli.analysis.accuracy.validated import Validated, validations_of
from rgacli.analysis.accuracy.validated import draw as draw_validations
from rgacli.analysis.accuracy.validated import table as validation_table
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.logged import ON_NEGATIVES, ON_POSITIVES, TrainingLog, require_heads, stage_note
from rgacli.analysis.words import short
from rgacli.method import ENSEMBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDES = {"positives": ON_POSITIVES, "negatives": ON_NEGATIVES}


@dataclass(frozen=True)
class Accuracy(Finding):
    """Accuracies along trainings.

    Attributes:
        trainings: In their order.
        rows: Of positives, then of negatives: per run and head, and with several runs of the mean over heads as well.
        validated: Validations of every head and the ensemble; of several runs, of their ensembles or single heads.
    """

    name: ClassVar[str] = "accuracy"
    title: ClassVar[str] = "training accuracy (%)"
    paper: ClassVar[str] = (
        "with RGA accuracy on positives is consistently higher through the training, on negatives it is nearly "
        "identical (Sec. 4.3, Fig. 3)"
    )
    trainings: Sequence[TrainingLog]
    rows: Sequence[Row]
    validated: Sequence[Validated]

    @property
    def about(self) -> dict[str, Any]:
        """The runs, what they were trained by, the share of iterations that is early, and validations."""
        trainings = [dict(run=one.name, method=one.method, seed=one.seed) for one in self.trainings]
        validations = list(map(asdict, self.validated))
        runs = [one.name for one in self.trainings]
        return {"runs": runs, "trainings": trainings, "early": EARLY, "validations": validations}

    def conclusion(self) -> str:
        """Say how heads do early and late; of several runs, how they differ from what they are compared with."""
        compared = told(self.trainings, self.rows)
        found = compared or self._levels()
        if len(self.trainings) > 1 and not compared:
            found.append("they are not compared, having other heads or no iterations in common")
        last = {one.run: one for one in self.validated}  # the ensemble is the last of a validation
        found += [f"{one.run} ends at {one.metric} {one.value:.3f} ({one.head})" for one in last.values()]
        return "; ".join(found)

    def _levels(self) -> list[str]:
        """Return, for each run, how its heads do early and late."""
        by_run: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for row in self.rows:
            if row.head != MEAN:
                by_run[row.run][row.head].append(f"{row.early:.1f} and {row.late:.1f} % of {row.on}")
        return [
            f"{run}, right in the first and in the last 20 % of iterations: "
            + "; ".join(f"head {head} {', '.join(sides)}" for head, sides in heads.items())
            for run, heads in by_run.items()
        ]

    def tables(self) -> list[Table]:
        """Return a table of accuracies on positives, one of those on negatives, and one of validations."""
        columns = {"run": "run", "head": "head", "first": "first 20 %"}
        if any(row.baseline for row in self.rows):
            columns |= {"first_difference": "difference", "whole": "all", "difference": "difference"}
            against = "; difference to " + ", ".join(dict.fromkeys(row.baseline for row in self.rows if row.baseline))
        else:
            columns |= {"last": "last 20 %", "whole": "all"}
            against = ""
        found = [
            Table(
                f"{self.title}, on {side}{stage_note(self.trainings)}{against}",
                columns,
                [_shown(row) for row in self.rows if row.on == side],
                group="run",
            )
            for side in dict.fromkeys(row.on for row in self.rows)
        ]
        if self.validated:
            found.append(validation_table(self.validated))
        return found

    def points(self) -> list[dict[str, Any]]:
        """Return what was logged of each head, accuracies with the same smoothed, and the validations."""
        accuracies = [
            _point(training.name, head, f"accuracy on {side} (%)", int(x), None, y, mean)
            for side, statistic in _SIDES.items()
            for training in self.trainings
            for head, values in training.of(statistic).items()
            for x, y, mean in zip(training.iterations, values, smoothing.smoothed(values), strict=True)
            if not np.isnan(y)
        ]
        return accuracies + [
            _point(one.run, one.head, f"validation {one.metric}", one.iteration, one.epoch, one.value, None)
            for one in self.validated
        ]

    def draw(self) -> Figure:
        """Draw Fig. 3: accuracy on positives and on negatives over iterations, and validation over epochs.

        Runs have a colour each, and heads dashes; of a single run, heads have colours.
        """
        looks = self._looks
        figure, axes = figures.panels(3 if self.validated else 2, panel=(2.75, 2.5))
        for axis, (side, statistic) in zip(axes, _SIDES.items(), strict=False):
            self._draw_side(axis, statistic, looks)
            axis.set_title(f"accuracy on {side} (%)", fontsize="medium")
            axis.set_xlabel("iteration")
            axis.set_ylabel(stage_note(self.trainings).removeprefix(", "))
        axes[0].set_ylim(0, 102)
        if self.validated:
            draw_validations(axes[2], self.validated, looks)
        figures.legend_above(figure, self._legend(looks).items())
        return figure

    def _draw_side(self, axis: Axes, statistic: str, looks: Mapping[tuple[str, str], style.Look]) -> None:
        lowest, end = 100.0, 1
        for training in self.trainings:
            for head, values in training.of(statistic).items():
                smoothing.draw(axis, training.iterations, values, looks[training.name, head])
                settled = smoothing.smoothed(values)[len(values) // 20 :]
                lowest = min([lowest, *settled[~np.isnan(settled)]])
                end = max(end, training.iterations[-1])
        axis.set_xlim(0, 1.02 * end)
        # Heads are far better on negatives, but for the first steps of those that begin with nothing.
        axis.set_ylim(max(0, 5 * (lowest // 5)), 100.5)

    @property
    def _looks(self) -> dict[tuple[str, str], style.Look]:
        things = []
        for training in self.trainings:
            things += [(training.name, row.head) for row in self.rows if row.run == training.name and row.head != MEAN]
            things += [(training.name, ENSEMBLE)]
        found = style.looks(things)
        # The whole of a detector without parallel heads is drawn as an ensemble is.
        whole = {(one.run, one.head): found[one.run, ENSEMBLE] for one in self.validated}
        return whole | found

    def _legend(self, looks: Mapping[tuple[str, str], style.Look]) -> dict[str, style.Look]:
        """Return what stands in the legend: of several runs their colours, and the dashes of heads if there are any."""
        if len(self.trainings) == 1:
            validated = {one.head for one in self.validated}
            heads = {head: look for (_, head), look in looks.items() if head != ENSEMBLE or head in validated}
            return {head if head == ENSEMBLE else f"head {head}": look for head, look in heads.items()}
        runs = {one.label: replace(looks[one.name, ENSEMBLE], marker="") for one in self.trainings}
        dashes = {row.head: looks[row.run, row.head].dashes for row in self.rows if row.head != MEAN}
        ink = style.current().ink
        heads = {f"head {head}": style.Look(ink, dash, "") for head, dash in dashes.items() if len(dashes) > 1}
        return runs | heads


def collect(trainings: Sequence[TrainingLog]) -> Accuracy:
    """Return how the heads of trainings did.

    Args:
        trainings: As `logged.read` returns them; of those of detectors without parallel heads there are validations.

    Raises:
        UsageError: no training has accuracies.
    """
    require_heads(trainings)
    having = [one for one in trainings if one.of(ON_POSITIVES) or one.of(ON_NEGATIVES)]
    return Accuracy(trainings, compare(having, _SIDES), validations_of(trainings))


def _point(run: str, head: str, of: str, *values: float | None) -> dict[str, Any]:
    return dict(
        zip(("run", "head", "of", "iteration", "epoch", "value", "smoothed"), (run, head, of, *values), strict=True)
    )


def _shown(row: Row) -> dict[str, str | None]:
    values = {"first": row.early, "last": row.late, "whole": row.whole}
    differences = {"first_difference": row.at_first, "difference": row.in_all} if row.baseline else {}
    return {
        "run": row.run,
        "head": row.head,
        **{key: f"{value:.1f}" for key, value in values.items() if not np.isnan(value)},
        **{key: short(*found, decimals=1) for key, found in differences.items()},
    }
