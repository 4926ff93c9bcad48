"""What validations found along trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rgacli.analysis.finding import Table
from rgacli.analysis.logged import TrainingLog
from rgacli.config.run_record import worth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rgacli.analysis.style import Look

_SPAN = 5
"""In points of AP: a panel shows no less, so that small differences look small."""


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


def validations_of(trainings: Sequence[TrainingLog]) -> list[Validated]:
    """Return the validations that measured by what the first did; of several runs, of no more than one head each."""
    every = [(training.name, one) for training in trainings for one in training.validations]
    return [
        Validated(name, head, one.epoch, one.iteration, one.metric, one.heads[head][one.metric])
        for name, one in every
        for head in (one.heads if len(trainings) == 1 else list(one.heads)[-1:])  # the ensemble is the last
        if one.metric == every[0][1].metric and one.heads[head].get(one.metric) is not None
    ]


def table(validated: Sequence[Validated]) -> Table:
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


def draw(axis: Axes, validated: Sequence[Validated], looks: Mapping[tuple[str, str], Look]) -> None:
    """Draw the validations of every run and head over epochs; over iterations where a training goes by those."""
    by_epoch = all(one.epoch for one in validated)
    for run, head in dict.fromkeys((one.run, one.head) for one in validated):
        look, own = looks[run, head], [one for one in validated if (one.run, one.head) == (run, head)]
        x = [one.epoch if by_epoch else one.iteration for one in own]
        axis.plot(x, [100 * one.value for one in own], color=look.color, linestyle=look.dashes, marker=look.marker)
    heads = {one.head for one in validated}
    only = f", {heads.pop()}" if len(heads) == 1 else ""
    axis.set_title(f"validation {validated[0].metric} (%){only}", fontsize="medium")
    axis.set_xlabel("epoch" if by_epoch else "iteration")
    axis.margins(0.06, 0.12)
    axis.set_xlim(left=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    low, high = axis.get_ylim()
    margin = max(0.0, _SPAN - (high - low)) / 2
    axis.set_ylim(low - margin, high + margin)
