"""What a run shows that it was made to show: the positives of its training, its heads' trade, and its ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import per_bin, smoothing
from rgacli.analysis.at_a_glance import figure, sentences
from rgacli.analysis.at_a_glance.rows import (
    IN_TRAINING,
    OF_ENSEMBLE,
    OF_HEADS,
    Rate,
    Row,
    counts_of,
    of_ensemble,
    of_heads,
    of_training,
    rates_of,
)
from rgacli.analysis.at_a_glance.sentences import Claim
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.logged import POSITIVES, TrainingLog, stage_note
from rgacli.analysis.positives import Positives
from rgacli.analysis.positives import Row as Drawn
from rgacli.analysis.words import short
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import Evaluation
from rgacli.wording import sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """The positives that one head drew along its training.

    Attributes:
        log: The training's.
        drawn: What it comes to: the head, what its ratio asks for, early and late means.
    """

    log: TrainingLog
    drawn: Drawn

    @property
    def values(self) -> np.ndarray:
        """Positives per image (N,), at the log's iterations."""
        return self.log.of(POSITIVES)[self.drawn.head]


@dataclass(frozen=True)
class AtAGlance(Finding):
    """Three things in one picture, or as many of them as the run has.

    Attributes:
        about: The run, the split, its number of images, and the least score of the detections that are counted.
        rows: What is compared, by panel.
        rates: What each head finds, and how often it is wrong; none of a single head.
        curve: Positives of the training, of the head that asks for most; None where none were logged.
    """

    name: ClassVar[str] = "at_a_glance"
    title: ClassVar[str] = "the run at a glance"
    about: Mapping[str, Any]
    rows: Sequence[Row]
    rates: Sequence[Rate]
    curve: Curve | None

    @property
    def claims(self) -> dict[str, Claim]:
        """Panel -> what it shows."""
        by_panel = {panel: self.rows_of(panel) for panel in (IN_TRAINING, OF_HEADS, OF_ENSEMBLE)}
        return {panel: self._claim(panel, own) for panel, own in by_panel.items() if own}

    @property
    def sentences(self) -> list[str]:
        """What each panel shows, with its numbers."""
        return [sentence(claim.text) for claim in self.claims.values()]

    def rows_of(self, panel: str) -> list[Row]:
        """Return the rows of one panel."""
        return [row for row in self.rows if row.panel == panel]

    def conclusion(self) -> str:
        """Return the sentences as one."""
        return "; ".join(claim.text for claim in self.claims.values())

    def tables(self) -> list[Table]:
        """Return the rows as one table."""
        shown = [{**asdict(row), "difference": short(*row.change)} for row in self.rows]
        columns = {"quantity": "quantity", "name": "of", "value": "value", "other": "and of", "other_value": "value"}
        return [Table(self.title, {**columns, "difference": "difference"}, shown, group="quantity")]

    def points(self) -> list[dict[str, Any]]:
        """Return the curve as logged and smoothed, then rates and differences with their intervals."""
        if not self.rows:
            raise UsageError("nothing to draw: there are no parallel heads, and nothing was logged of any.")
        curve = []
        if self.curve:
            known = zip(
                self.curve.log.iterations, self.curve.values, smoothing.smoothed(self.curve.values), strict=True
            )
            head = self.curve.drawn.head
            curve = [_point(IN_TRAINING, "positives", head, y, at=int(x), smoothed=mean) for x, y, mean in known]
        rates = [_point(OF_HEADS, each.quantity, each.name, each.value, each.low, each.high) for each in self.rates]
        gains = [
            _point(OF_ENSEMBLE, f"AP less that of {row.other}", row.name, *row.change)
            for row in self.rows_of(OF_ENSEMBLE)
        ]
        return [*curve, *rates, *gains]

    def draw(self) -> Figure:
        """Draw a panel for each sentence, which stands above it."""
        return figure.draw(self)

    def _claim(self, panel: str, rows: Sequence[Row]) -> Claim:
        if panel == IN_TRAINING:
            drawn = self.curve.drawn
            return sentences.of_training(rows[0], drawn.head, drawn.quota, stage_note([self.curve.log]))
        if panel == OF_HEADS:
            return sentences.of_heads(rows, self.about["score"])
        return sentences.of_ensemble(rows, per_bin.number_of(self.about["images"]))


def collect(
    positives: Positives | None,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    variants: Mapping[str, Evaluation],
    *,
    run: str,
    split: str,
    score: float = 0.3,
    samples: int = 200,
    baseline: tuple[str, Evaluation] | None = None,
) -> AtAGlance:
    """Return what there is to show of one run.

    Args:
        positives: Of its training, the first of those looked at; None where they cannot be had.
        results: Head, then "ensemble" where there are several -> detections.
        variants: The same, evaluated.
        run, split: What it is called, and what it was evaluated on.
        score: The least of the detections that are counted as found objects or as false; AP is of all.
        samples: Bootstrap samples behind the intervals of AP.
        baseline: Another run that the ensemble is compared with: its name, and its detections, evaluated.
    """
    curve = _curve(positives) if positives else None
    rows = [of_training(curve.drawn)] if curve else []
    counted = counts_of(results, variants, score)
    objects = np.array(list(next(iter(variants.values())).gt_counts.values()), dtype=float)
    heads = list(of_heads(counted, objects))
    rates = rates_of(counted, objects) if heads else []
    rows += [*heads, *of_ensemble(variants, samples, baseline)]
    return AtAGlance({"run": run, "split": split, "images": len(objects), "score": score}, rows, rates, curve)


def _curve(positives: Positives) -> Curve | None:
    """Return the curve of the head that asks for most, of the first training."""
    log = positives.trainings[0]
    own = [row for row in positives.rows if row.run == log.name]
    return Curve(log, max(own, key=lambda row: row.quota)) if own else None


def _point(
    panel: str,
    quantity: str,
    name: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    *,
    at: int | None = None,
    smoothed: float | None = None,
) -> dict[str, Any]:
    found = {"panel": panel, "quantity": quantity, "name": name, "iteration": at}
    return {**found, "value": value, "smoothed": smoothed, "low": low, "high": high}
