"""Recognising, from what a run logged, that its weights have become useless though every loss is still a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rgacli.engine.metrics_log import read_metrics
from rgacli.messages import tell
from rgacli.wording import param

_ITERATIONS = 1000  # that are looked at together where a training counts no epochs
_NONE = 1.0
_SOME = 20.0
"""Youden's J in percent, up to which a head is taken to guess, and from which it had learnt something."""
_GROWN = 1.05
"""A log is read again once it has grown by so much: read each time, a long one would cost more than the training."""
_ABSURD = 100.0
"""Loss over the run's lowest: a training that learns has such a range as well, but not while its heads guess."""


class DivergenceHook(Hook):
    """Hook that tells of a divergence, once. It looks at the log alone.

    It does after each of the first 20 epochs and then less often, in measure of what there is to read.

    Args:
        metrics: The run's metrics.jsonl.
    """

    priority = "LOWEST"

    def __init__(self, metrics: Path) -> None:
        self.metrics = metrics
        self._is_told = False
        self._bytes = 0  # of the log, when it was last looked at

    def after_train_epoch(self, runner: Runner) -> None:
        """Look."""
        self._look()

    def before_checkpoint(self, runner: Runner) -> None:
        """Look, where a training counts no epochs."""
        self._look()

    def _look(self) -> None:
        if self._is_told or not is_main_process():
            return
        size = self.metrics.stat().st_size if self.metrics.is_file() else 0
        if size <= self._bytes * _GROWN:
            return
        self._bytes = size
        if found := divergence(read_metrics(self.metrics)):
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


def divergence(lines: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what is to be told of a training whose heads do no better than one answer to everything; else None.

    Heads that have not learnt yet do so as well. It has diverged if they were better in an earlier epoch, at a lower
    loss, or if its loss rose to a hundred times what it was at another time.

    Args:
        lines: Of training steps, as `metrics_log` has them.
    """
    steps = [line for line in lines if isinstance(line.get("loss"), (int, float))]
    *before, last = _stretches(steps) or [None]
    if last is None or last.skill > _NONE:
        return None
    now = (
        f"in {last.name} no head tells an object from background (accuracy on positives {last.positives:.1f} %, on "
        f"negatives {last.negatives:.1f} %)"
    )
    best = max(before, key=lambda one: one.skill, default=last)
    losses = [line["loss"] for line in steps]
    if best.skill >= _SOME and best.loss < last.loss:
        now += f", as one did in {best.name} ({best.positives:.1f} %, {best.negatives:.1f} %)"
    elif max(losses) > _ABSURD * min(losses):
        now += f", and the loss was at {max(losses):.3g}"
    else:
        return None
    return f"{now}: lower {param('lr')} or {param('lambda0')}."


def _stretches(steps: Sequence[Mapping[str, Any]]) -> list[Stretch]:
    """Return a run's epochs that any head was sampled in, in their order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for line in steps:
        name = f"epoch {line['epoch']}" if "epoch" in line else f"iterations from {_begin(line['step'])}"
        groups.setdefault(name, []).append(line)
    return [found for name, group in groups.items() if (found := _stretch(name, group))]


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
