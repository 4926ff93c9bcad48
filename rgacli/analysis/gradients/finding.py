"""What R-CNN heads send into the shared backbone: norms, their sum, and the angle between them (paper, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import smoothing, words
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.gradients import figure
from rgacli.analysis.gradients.probes import CALLED, Probes
from rgacli.analysis.gradients.rows import Row, row_of
from rgacli.analysis.intervals import estimate_of
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Gradients(Finding):
    """Gradients of R-CNN heads, along trainings or at checkpoints.

    Attributes:
        probes: Of each run.
        rows: Per run, one of its heads and, with a mask head, one of its branches.
        measured: What checkpoints were measured on ("64 images of train"); "" of what trainings logged.
    """

    name: ClassVar[str] = "gradients"
    title: ClassVar[str] = "gradients of the heads at a backbone weight"
    paper: ClassVar[str] = (
        "the norm of the gradients' sum is always smaller than the sum of their norms, of two R-CNN heads as of box "
        "and mask branch: they do not teach the backbone quite the same (Sec. 3.3, Fig. 5)"
    )
    probes: Sequence[Probes]
    rows: Sequence[Row]
    measured: str = ""

    @property
    def about(self) -> dict[str, Any]:
        """The runs, the weight, and what was measured."""
        runs = [probes.name for probes in self.probes]
        return {"runs": runs, "weight": self.weight, "measured": self.measured or "while training"}

    @property
    def weight(self) -> str:
        """The weight of the backbone."""
        return self.probes[0].weight

    def conclusion(self) -> str:
        """Say how far the norm of the sum is below the sum of the norms, and the angle."""
        if len(self.probes) > 1:
            return "; ".join(f"{row.run}, {self._told(row)}" for row in self.rows)
        return "; ".join(self._told(row) + _changed(row) for row in self.rows)

    def tables(self) -> list[Table]:
        """Return the rows as one table."""
        shown = [
            {
                **asdict(row),
                "norms": ", ".join(f"{part} {value:.2g}" for part, value in row.norms.items()),
                "sum": f"{row.sum:.2g}",
                "sum_of_norms": f"{row.sum_of_norms:.2g}",
                "ratio": words.with_ends(*estimate_of(row, "ratio")),
                "angle": words.with_ends(*estimate_of(row, "angle"), decimals=0),
            }
            for row in self.rows
        ]
        several = len(self.probes) > 1
        columns = {"run": "run"} if several else {}
        columns |= {
            **({"compared": "of"} if len({row.compared for row in self.rows}) > 1 else {}),
            "probes": "batches" if self.measured else "probes",
            "norms": "norms",
            "sum": "norm of sum",
            "sum_of_norms": "sum of norms",
            "ratio": "ratio (95 %)",
            "angle": "angle in ° (95 %)",
        }
        title = f"gradients at {self.weight}, {self.measured or 'while training'}"
        title += "" if several else f": {self.probes[0].name}"
        return [Table(title, columns, shown, group="run" if several else None)]

    def points(self) -> list[dict[str, Any]]:
        """Return every value; of a training the same smoothed as well."""
        place = "batch" if self.measured else "iteration"
        return [
            {"run": probes.name, "compared": CALLED[group], place: int(x), "quantity": quantity, "value": y}
            | ({} if self.measured else {"smoothed": smooth})
            for probes in self.probes
            for group in CALLED
            for quantity, values in probes.of(group).items()
            for x, y, smooth in zip(
                probes.places, values, values if self.measured else smoothing.smoothed(values), strict=True
            )
        ]

    def _told(self, row: Row) -> str:
        if len(row.norms) == 1:
            return f"the only head's gradient has a norm of {row.sum:.2g}: there is nothing to compare it with"
        ratio = words.with_ends(*estimate_of(row, "ratio"))
        angle = words.with_ends(*estimate_of(row, "angle"), decimals=0, unit="°")
        times = ("batch" + "es" * (row.probes > 1)) if self.measured else ("probe" + "s" * (row.probes > 1))
        few = ", too few for an interval" * bool(np.isnan(row.ratio_low))
        return (
            f"{row.compared}: the norm of the sum is {ratio} of the sum of norms on average (angle {angle}; at right "
            f"angles it would be {row.at_right_angles:.2f}), below it in {100 * row.below:.0f} % of {row.probes} "
            f"{times}{few}"
        )

    def draw(self) -> Figure:
        """Draw Fig. 5: norms beside the angle, of the heads and, with a mask head, of the branches."""
        return figure.draw(self.probes, measured=self.measured)


def collect(probes: Sequence[Probes], *, measured: str = "") -> Gradients:
    """Return what the gradients of runs' heads have in common.

    Args:
        probes: Of each run, at the same weight.
        measured: What checkpoints were measured on; "" of what trainings logged.

    Raises:
        UsageError: the runs were looked at at different weights, whose gradients are not comparable.
    """
    weights = dict.fromkeys(one.weight for one in probes)
    if len(weights) > 1:
        raise UsageError(f"the runs were looked at at different weights of the backbone ({', '.join(weights)}).")
    rows = [row_of(one, group, bool(measured)) for one in probes for group in one.groups]
    return Gradients(probes, rows, measured)


def _changed(row: Row) -> str:
    change = estimate_of(row, "change")
    if np.isnan(change.low):
        return ""
    told = words.in_words(*change, decimals=1, unit="°")
    return f", and from the first fifth to the last the angle changes by {told}"
