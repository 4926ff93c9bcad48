"""How a training went: losses, λ, what the heads drew and how well they did on it, and what validation found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from rgacli.analysis import figures, logged, style
from rgacli.config.recipe import positive_quotas, variant_names
from rgacli.engine.metrics_log import read_metrics
from rgacli.errors import UsageError
from rgacli.evaluation.variants_metric import validated_by
from rgacli.method import ENSEMBLE
from rgacli.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS, LAMBDA, POSITIVES, ON_POSITIVES, ON_NEGATIVES = (
    "loss",
    "λ",
    "positives per image",
    "accuracy on positives (%)",
    "accuracy on negatives (%)",
)
_OF_HEADS = {logged.POSITIVES: POSITIVES, logged.ON_POSITIVES: ON_POSITIVES, logged.ON_NEGATIVES: ON_NEGATIVES}
_ORDER = (LOSS, LAMBDA, POSITIVES, ON_POSITIVES, ON_NEGATIVES)
_TOTAL = "total"


@dataclass(frozen=True)
class Point:
    """One value of one curve.

    Attributes:
        panel: What is drawn there: `LOSS`, `LAMBDA`, …, or "AP" and its like, of validations.
        curve: A head's name, or what else the value belongs to: "total", "RPN".
        iteration: When it was logged.
        value: Losses are sums over the parts (classification and boxes) and stages of a head; of a cascade, positives
            and accuracies are its first stage's.
    """

    panel: str
    curve: str
    iteration: int
    value: float


def draw(run: Run, cfg: Config, path: Path) -> None:
    """Draw how a run's training went so far.

    Args:
        run: Its log is read.
        cfg: Its config.
        path: The PNG; the points are saved as CSV beside it.

    Raises:
        UsageError: nothing was logged yet.
    """
    points = collect(read_metrics(run.metrics), variant_names(cfg), validated_by(cfg).metrics[0])
    plot(points, positive_quotas(cfg), path)


def collect(lines: Iterable[Mapping[str, Any]], variants: Mapping[str, str], metric: str) -> list[Point]:
    """Return the points of all curves, in the order that they were logged.

    Args:
        lines: As `engine.metrics_log.read_metrics` returns them.
        variants: As `method.variant_names` returns them.
        metric: That validations are drawn by: "AP".
    """
    points = []
    for line in lines:
        values: dict[tuple[str, str], float] = defaultdict(float)
        for key, value in line.items():
            if value is not None and (place := _place(key, variants, metric)):
                values[place] += value
        points += [Point(*place, line["step"], value) for place, value in values.items()]
    return points


def _place(key: str, variants: Mapping[str, str], metric: str) -> tuple[str, str] | None:
    """Return the panel and the curve that a logged value belongs to: of "s0.1to9.loss_cls", LOSS and "1:9"."""
    if "/" in key:
        _, variant, name = key.split("/")
        return (metric, variants.get(variant, variant)) if name == metric else None
    if found := logged.statistic_of(key, variants):
        statistic, head = found
        return _OF_HEADS[statistic], head
    *parts, name = key.split(".")
    head = variants.get(parts[-1]) if parts else None
    if key == "lambda":
        return LAMBDA, LAMBDA
    if name == "loss":
        return LOSS, _TOTAL
    if name.startswith("loss"):
        return LOSS, head or ("RPN" if "rpn" in name else name)
    return None


def plot(points: Sequence[Point], quotas: Mapping[str, int], path: Path) -> None:
    """Draw a panel for each quantity that there is anything of; a head has one colour in all of them.

    Args:
        points: As `collect` returns them.
        quotas: Head -> positives that its sampler asks for in an image, drawn dashed.
        path: The PNG; the points are saved as CSV beside it.

    Raises:
        UsageError: there is nothing to draw.
    """
    if not points:
        raise UsageError("nothing to draw: nothing was logged.")
    curves: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        curves[point.panel][point.curve].append(point)
    panels = [panel for panel in _ORDER if panel in curves] + [panel for panel in curves if panel not in _ORDER]
    names = dict.fromkeys(point.curve for point in points if point.curve not in (_TOTAL, LAMBDA, ENSEMBLE))
    heads_first = sorted(names, key=lambda name: name not in quotas)
    colors = dict(zip(heads_first, cycle(style.current().palette), strict=False))

    figure, axes = figures.panels(len(panels), panel=(3.6, 2.6))
    end = max(point.iteration for point in points)
    for axis, panel in zip(axes, panels, strict=True):
        axis.set_xlim(0, 1.02 * end)
        _draw(axis, panel, curves[panel], colors, quotas if panel == POSITIVES else {})
    figure.supxlabel("iteration", fontsize="medium")
    figures.save(figure, path, list(map(asdict, points)))


def _draw(
    axis: Axes,
    panel: str,
    curves: Mapping[str, Sequence[Point]],
    colors: Mapping[str, str],
    quotas: Mapping[str, int],
) -> None:
    few = all(len(curve) < 40 for curve in curves.values())
    highest = max([*quotas.values(), *(point.value for curve in curves.values() for point in curve)])
    in_order = [*colors, *(name for name in curves if name not in colors)]
    for name, curve in ((name, curves[name]) for name in in_order if name in curves):
        color = colors.get(name, style.current().ink)
        x, y = [point.iteration for point in curve], [point.value for point in curve]
        axis.plot(x, y, color=color, linewidth=1, marker="o" if few else "", markersize=3, label=name)
        if name in quotas:
            axis.axhline(quotas[name], color=color, linewidth=0.8, linestyle="--", zorder=1)
    axis.set_title(panel + (" (dashed: asked for)" if quotas else ""), fontsize="medium")
    axis.set_ylim(0, 102 if panel in (ON_POSITIVES, ON_NEGATIVES) else 1.05 * highest or 1)
    if len(curves) > 1:
        figures.plain_legend(axis)
