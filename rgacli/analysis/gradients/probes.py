"""What R-CNN heads sent into a weight of the backbone, time after time: as trainings logged it, or as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config

from rgacli.engine.gradient_probe import PREFIX, GradientProbeHook
from rgacli.errors import UsageError
from rgacli.method import unslug
from rgacli.wording import function, param

HEADS, BRANCHES = "heads", "branches"
SUM, SUM_OF_NORMS, ANGLE = "sum", "sum_of_norms", "angle"
"""As `modeling.gradients.measure_heads` names them."""
CALLED = {HEADS: "R-CNN heads", BRANCHES: "box and mask branch"}


@dataclass(frozen=True)
class Probes:
    """What the heads of one run sent into a weight, time after time.

    Attributes:
        name: What tells the run apart from others.
        weight: Of the backbone.
        places: (N,), the iterations of a training, or the batches that a checkpoint was measured on, from 1.
        values: "heads.1to9" and its like, as `modeling.gradients.measure_heads` -> (N,), NaN where there is none.
    """

    name: str
    weight: str
    places: np.ndarray
    values: Mapping[str, np.ndarray]

    def of(self, group: str) -> dict[str, np.ndarray]:
        """Return the values of `HEADS` or `BRANCHES`: "1:9" and its like, "box", "mask", `SUM`, … -> (N,)."""
        return {
            unslug(key.removeprefix(f"{group}.")): values
            for key, values in self.values.items()
            if key.startswith(f"{group}.")
        }

    def parts(self, group: str) -> list[str]:
        """Return what is added up in a group: the heads' names, or "box" and "mask"; none where there is no such."""
        return [key for key in self.of(group) if key not in (SUM, SUM_OF_NORMS, ANGLE)]

    @property
    def groups(self) -> list[str]:
        """`HEADS` and `BRANCHES`, where there are any; a single head is no more than the box branch beside a mask."""
        found = [group for group in CALLED if self.parts(group)]
        return found[1:] if len(found) > 1 and len(self.parts(HEADS)) == 1 else found


def read(name: str, cfg: Config, lines: Sequence[Mapping[str, Any]]) -> Probes | None:
    """Return the probes that a training logged; None if there are none.

    Args:
        name: What tells the run apart from others.
        cfg: Its config.
        lines: As `engine.metrics_log.read_metrics` returns them.
    """
    found = {
        line["step"]: {key.removeprefix(PREFIX): value for key, value in line.items() if key.startswith(PREFIX)}
        for line in lines
        if any(key.startswith(PREFIX) and value is not None for key, value in line.items())
    }
    hooks = cfg.get("custom_hooks") or []
    weight = next((hook.get("weight") for hook in hooks if hook.type == GradientProbeHook.__name__), None)
    return probes_of(name, weight or "the backbone", found) if found else None


def probes_of(name: str, weight: str, found: Mapping[int, Mapping[str, float | None]]) -> Probes:
    """Return the probes of one run.

    Args:
        name: What tells the run apart from others.
        weight: Of the backbone.
        found: Iteration or batch -> values, as `modeling.gradients.measure_heads`; None of what is no number.
    """
    places = sorted(found)
    keys = dict.fromkeys(key for values in found.values() for key in values)
    return Probes(
        name,
        weight,
        np.array(places, dtype=int),
        {key: np.array([found[place].get(key, np.nan) for place in places], dtype=float) for key in keys},
    )


def require_probes(name: str, probes: Probes | None) -> Probes:
    """Return the probes of a run.

    Raises:
        UsageError: there are none; it says how to get some.
    """
    if probes is None:
        raise UsageError(
            f"run {name} logged no gradients: measure them at its checkpoint by {param('measure', 64)}, or have "
            f"{function('train')} log them by {param('probe_gradients', 50)}."
        )
    return probes
