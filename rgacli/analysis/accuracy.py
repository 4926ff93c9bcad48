"""How well heads did on positives and on negatives along a training, and in validation (paper, Sec. 4.3, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import figures, smoothing, style
from rgacli.analysis.comparing import EARLY, MEAN, Row, compare, told
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.logged import ON_NEGATIVES, ON_POSITIVES, Training, require_heads
from rgacli.config.run_record import worth
from rgacli.method import ENSEMBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPAN = 5
"""In points of AP: a panel shows no less, so that small differences look small."""
_SIDES = {"positives": ON_POSITIVES, "negatives": ON_NEGATIVES}


@dataclass(frozen=True)
class Validated:
    """One validation of a head.

    Attributes:
        run, head: Its names.
        epoch: After which it was; None in a training by iterations.
        iteration: The same.
        metric: What detectors are ranked by: "AP", or "mMR" on CrowdHuman, where less is better.
        value: In [0, 1].
    """

    run: str
    head: str
    epoch: int | None
    iteration: int
    metric: str
    value: float


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
    trainings: Sequence[Training]
    rows: Sequence[Row]
    validated: Sequence[Validated]

    @property
    def about(self) -> dict[str, Any]:
        """The runs with what they were trained by, the share of iterations that is early, and validations."""
        runs = [dict(run=one.name, method=one.method, seed=one.seed) for one in self.trainings]
        return {"runs": runs, "early": EARLY, "validations": list(map(asdict, self.validated))}

    def conclusion(self) -> str:
        """Say how heads do early and late; of several runs, how they differ from what they are compared with."""
        found = told(self.trainings, self.rows)
        if not found:
            found = [
                f"{row.run}, head {row.head}: accuracy on {row.on} {row.early:.1f} % in the first 20 % of iterations, "
                f"{row.late:.1f} % in the last 20 %"
                for row in self.rows
                if row.head != MEAN
            ]
        last = {one.run: one for one in self.validated}  # the ensemble is the last of a validation
        found += [f"{one.run} ends at {one.metric} {one.value:.3f} ({one.head})" for one in last.values()]
        return "; ".join(found)

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
                f"{self.title}, on {side}{self._stage}{against}",
                columns,
                [_shown(row) for row in self.rows if row.on == side],
                group="run",
            )
            for side in _SIDES
        ]
        if self.validated:
            found.append(_validation_table(self.validated))
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
        things = [(one.name, head) for one in self.trainings for head in one.of(ON_POSITIVES) or one.of(ON_NEGATIVES)]
        looks = style.looks([*things, *((one.run, one.head) for one in self.validated)])
        figure, axes = figures.panels(3 if self.validated else 2, panel=(2.75, 2.5))
        for axis, (side, statistic) in zip(axes, _SIDES.items(), strict=False):
            self._draw_side(axis, statistic, looks)
            axis.set_title(f"accuracy on {side} (%){self._stage}", fontsize="medium")
            axis.set_xlabel("iteration")
        axes[0].set_ylim(0, 102)
        if self.validated:
            _draw_validations(axes[2], self.validated, looks)
        figures.legend_above(figure, self._legend(looks))
        return figure

    def _draw_side(self, axis: Axes, statistic: str, looks: Mapping[tuple[str, str], style.Look]) -> None:
        lowest = 100.0
        for training in self.trainings:
            for head, values in training.of(statistic).items():
                smoothing.draw(axis, training.iterations, values, looks[training.name, head])
                settled = smoothing.smoothed(values)[len(values) // 20 :]
                lowest = min(lowest, *settled[~np.isnan(settled)])
        axis.set_xlim(0, max(one.iterations[-1] for one in self.trainings if one.of(statistic)))
        # Heads are far better on negatives, but for the first steps of those that begin with nothing.
        axis.set_ylim(max(0, 5 * (lowest // 5)), 100.5)

    def _legend(self, looks: Mapping[tuple[str, str], style.Look]) -> dict[str, style.Look]:
        heads = {head: look for (_, head), look in looks.items()}
        if len(self.trainings) == 1:
            return {head if head == ENSEMBLE else f"head {head}": look for head, look in heads.items()}
        runs = {
            f"{one.name} ({one.method})": style.Look(looks[one.name, head].color, "-", "")
            for one in self.trainings
            for run, head in looks
            if run == one.name
        }
        dashed = {look.dashes for look in heads.values()}
        own = {f"head {head}": look for head, look in heads.items() if head != ENSEMBLE} if len(dashed) > 1 else {}
        ink = style.current().ink
        return runs | {name: style.Look(ink, look.dashes, look.marker) for name, look in own.items()}

    @property
    def _stage(self) -> str:
        return ", first stage" if any(training.is_cascade for training in self.trainings) else ""


def collect(trainings: Sequence[Training]) -> Accuracy:
    """Return how the heads of trainings did.

    Args:
        trainings: As `logged.read` returns them; of those of detectors without parallel heads there are validations.

    Raises:
        UsageError: no training has accuracies.
    """
    require_heads(trainings)
    having = [one for one in trainings if one.of(ON_POSITIVES) or one.of(ON_NEGATIVES)]
    return Accuracy(trainings, compare(having, _SIDES), _validations(trainings))


def _validations(trainings: Sequence[Training]) -> list[Validated]:
    """Return the validations that measured by what the first did; of several runs, of no more than one head each."""
    every = [(training.name, one) for training in trainings for one in training.validations]
    return [
        Validated(name, head, one.epoch, one.iteration, one.metric, one.heads[head][one.metric])
        for name, one in every
        for head in (one.heads if len(trainings) == 1 else list(one.heads)[-1:])  # the ensemble is the last
        if one.metric == every[0][1].metric and one.heads[head].get(one.metric) is not None
    ]


def _point(run: str, head: str, of: str, *values: float | None) -> dict[str, Any]:
    return dict(
        zip(("run", "head", "of", "iteration", "epoch", "value", "smoothed"), (run, head, of, *values), strict=True)
    )


def _shown(row: Row) -> dict[str, str]:
    values = {"first": row.early, "last": row.late, "whole": row.whole}
    differences = {"first_difference": row.at_first, "difference": row.in_all} if row.baseline else {}
    return {
        "run": row.run,
        "head": row.head,
        **{key: f"{value:.1f}" for key, value in values.items() if not np.isnan(value)},
        **{key: found.text for key, found in differences.items()},
    }


def _validation_table(validated: Sequence[Validated]) -> Table:
    """Return the last validation of each head, and its best."""
    metric = validated[0].metric
    columns = {"run": "run", "head": "head", "last": metric, "after": "after", "best": f"best {metric}", "at": "after"}
    rows = []
    for run, head in dict.fromkeys((one.run, one.head) for one in validated):
        own = [one for one in validated if (one.run, one.head) == (run, head)]
        best = max(own, key=lambda one: worth(one.value, metric))
        rows.append(dict(run=run, head=head, last=own[-1].value, after=_when(own[-1]), best=best.value, at=_when(best)))
    return Table(f"validation {metric}", columns, rows, group="run")


def _when(one: Validated) -> str:
    return f"epoch {one.epoch}" if one.epoch else f"iteration {one.iteration}"


def _draw_validations(axis: Axes, validated: Sequence[Validated], looks: Mapping[tuple[str, str], style.Look]) -> None:
    by_epoch = all(one.epoch for one in validated)
    for (run, head), look in looks.items():
        own = [one for one in validated if (one.run, one.head) == (run, head)]
        x = [one.epoch if by_epoch else one.iteration for one in own]
        axis.plot(x, [100 * one.value for one in own], color=look.color, linestyle=look.dashes, marker=look.marker)
    heads = {one.head for one in validated}
    only = f", {heads.pop()}" if len(heads) == 1 else ""
    axis.set_title(f"validation {validated[0].metric} (%){only}", fontsize="medium")
    axis.set_xlabel("epoch" if by_epoch else "iteration")
    axis.set_xlim(left=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    low, high = axis.get_ylim()
    margin = max(0.0, _SPAN - (high - low)) / 2
    axis.set_ylim(low - margin, high + margin)
