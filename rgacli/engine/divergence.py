"""Recognising, from what a run logged, that its weights have become useless though every loss is still a number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rgacli.engine.metrics_log import NewLines
from rgacli.messages import tell
from rgacli.wording import param

_ITERATIONS = 1000  # that are looked at together where a training counts no epochs
_NONE = 1.0
_SOME = 20.0
"""Youden's J in percent, up to which a head is taken to guess, and from which it had learnt something."""
_ABSURD = 100.0
"""Loss over the run's lowest: a training that learns has such a range as well, but not while its heads guess."""


class DivergenceHook(Hook):
    """Hook that tells of a divergence, once, from what was logged since it last looked.

    Args:
        metrics: The run's metrics.jsonl.
    """

    priority = "LOWEST"

    def __init__(self, metrics: Path) -> None:
        self._new_lines, self._watch = NewLines(metrics), Watch()
        self._is_told = False

    def after_train_epoch(self, runner: Runner) -> None:
        """Look."""
        self._look()

    def before_checkpoint(self, runner: Runner) -> None:
        """Look, where a training counts no epochs."""
        self._look()

    def _look(self) -> None:
        if self._is_told or not is_main_process():
            return
        self._watch.add(self._new_lines())
        if found := self._watch.divergence():
            tell(f"the training seems to have diverged: {found}")
            self._is_told = True


@dataclass(frozen=True)
class Stretch:
    """An epoch (or 1000 iterations) of a run's log.

    Attributes:
        name: "epoch 3".
        loss: Mean of its lines.
        positives, negatives: Accuracies (percent) of the best of its heads, by Youden's J = positives + negatives -
            100. One that says the same of every RoI, be it background or a class, has no J above 0.
    """

    name: str
    loss: float
    positives: float
    negatives: float

    @property
    def skill(self) -> float:
        """Youden's J, in percent."""
        return self.positives + self.negatives - 100


class Watch:
    """Recognises a training whose heads do no better than one answer to everything.

    Heads that have not learnt yet do so as well. It has diverged if they were better in an earlier epoch, at a lower
    loss, or if its loss rose to a hundred times what it was at another time.
    """

    def __init__(self) -> None:
        self._name, self._lines = "", []  # of the epoch that goes on
        self._last: Stretch | None = None  # that is over
        self._best: Stretch | None = None  # of those before it
        self._lowest, self._highest = math.inf, -math.inf  # losses

    def add(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in lines of the log, as `metrics_log` has them; those of validations say nothing."""
        for line in lines:
            if not isinstance(line.get("loss"), (int, float)):
                continue
            name = f"epoch {line['epoch']}" if "epoch" in line else f"iterations from {_begin(line['step'])}"
            if name != self._name:
                self._best, self._last = self._so_far()
                self._name, self._lines = name, []
            self._lines.append(line)
            self._lowest, self._highest = min(self._lowest, line["loss"]), max(self._highest, line["loss"])

    def divergence(self) -> str | None:
        """Return what is to be told of the training as it stands; None where it has not diverged."""
        best, last = self._so_far()
        if last is None or last.skill > _NONE:
            return None
        now = (
            f"in {last.name} no head tells an object from background (accuracy on positives {last.positives:.1f} %, "
            f"on negatives {last.negatives:.1f} %)"
        )
        if best and best.skill >= _SOME and best.loss < last.loss:
            now += f", as one did in {best.name} ({best.positives:.1f} %, {best.negatives:.1f} %)"
        elif self._highest > _ABSURD * self._lowest:
            now += f", and the loss was at {self._highest:.3g}"
        else:
            return None
        return f"{now}: lower {param('lr')} or {param('lambda0')}."

    def _so_far(self) -> tuple[Stretch | None, Stretch | None]:
        """Return the last epoch that any head was sampled in, and before it the best of those before."""
        going_on = _stretch(self._name, self._lines)
        if not going_on:
            return self._best, self._last
        before = [stretch for stretch in (self._best, self._last) if stretch]
        return max(before, key=lambda one: one.skill, default=None), going_on


def divergence(lines: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what `Watch` has to tell at the end of a log; None if nothing."""
    watch = Watch()
    watch.add(lines)
    return watch.divergence()


def _begin(step: int) -> int:
    return (step - 1) // _ITERATIONS * _ITERATIONS + 1


def _stretch(name: str, lines: Sequence[Mapping[str, Any]]) -> Stretch | None:
    heads = dict.fromkeys(key.rpartition(".")[0] for line in lines for key in line if key.endswith(".acc_pos"))
    found = [
        Stretch(
            name,
            sum(line["loss"] for line in lines) / len(lines),
            _accuracy(lines, f"{head}.acc_pos", f"{head}.positives"),
            _accuracy(lines, f"{head}.acc_neg", f"{head}.negatives"),
        )
        for head in heads
    ]
    return max(found, key=lambda one: one.skill, default=None)


def _accuracy(lines: Sequence[Mapping[str, Any]], key: str, number: str) -> float:
    """Return a percentage of several lines, weighted by how many RoIs each is of; 0 of none."""
    known = [(line[key], line.get(number) or 0) for line in lines if line.get(key) is not None]
    rois = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / rois if rois else 0.0
