"""What a training's validations found, as its log has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from rgacli.config.recipe import variant_names
from rgacli.engine.metrics_log import is_validation, read_metrics
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.variants_metric import validated_by
from rgacli.modeling.checkpoints import read_checkpoint
from rgacli.runs import Run


@dataclass(frozen=True)
class Validation:
    """What a detector's heads were worth at one time of its training.

    Attributes:
        epoch: After which it was measured; None in a training by iterations.
        iteration: The same.
        heads: Head ("1:9", "ensemble", …) -> metric -> value, as `evaluate` has them.
        bins: Head -> bin of the number of objects in an image ("1-3") -> AP on its images; NaN where there are none.
    """

    epoch: int | None
    iteration: int
    heads: Mapping[str, Mapping[str, float]]
    bins: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Validations:
    """What a run's validations came to.

    Attributes:
        last: The last one; None where there was none.
        best: That of the best checkpoint; None where none was kept.
        best_by: The metric by which it is the best: "1:9/AP50".
    """

    last: Validation | None
    best: Validation | None
    best_by: str | None


def of_run(run: Run, cfg: Config) -> Validations:
    """Return what a run's validations came to, by its log and its best checkpoint."""
    variants = variant_names(cfg)
    bins = validated_by(cfg).bins
    found = collect(read_metrics(run.metrics), variants, bins)
    last = found[-1] if found else None
    meta = read_checkpoint(run.best).get("meta", {}) if run.best.is_file() else {}
    if "best" not in meta:
        return Validations(last, None, None)
    # The file tells of itself: the log may be of a resumed run that went another way.
    best = _validation({**meta["best"]["metrics"], "step": meta["iter"]}, meta["epoch"] or None, variants, bins)
    _, variant, metric = meta["best"]["metric"].split("/")
    return Validations(last, best, f"{variants[variant]}/{metric}")


def collect(lines: Iterable[Mapping[str, Any]], variants: Mapping[str, str], bins: Sequence[GTBin]) -> list[Validation]:
    """Return the validations in a run's log.

    Args:
        lines: As `engine.metrics_log.read_metrics` returns them.
        variants: As `method.variant_names` returns them; the heads come in their order.
        bins: That validation measured.
    """
    found, epoch = [], None
    for line in lines:
        if is_validation(line):
            found.append(_validation(line, epoch, variants, bins))
        else:
            epoch = line.get("epoch")
    return found


def _validation(
    line: Mapping[str, Any], epoch: int | None, variants: Mapping[str, str], bins: Sequence[GTBin]
) -> Validation:
    values: dict[str, dict[str, float]] = {name: {} for name in variants.values()}
    for key, value in line.items():
        variant, _, metric = key.partition("/")[2].partition("/")
        if variant in variants:
            values[variants[variant]][metric] = math.nan if value is None else value
    labels = {gt_bin.metric: gt_bin.label for gt_bin in bins}
    return Validation(
        epoch,
        line["step"],
        {name: {key: value for key, value in own.items() if key not in labels} for name, own in values.items()},
        {name: {labels[key]: own[key] for key in labels if key in own} for name, own in values.items()},
    )
