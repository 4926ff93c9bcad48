"""What ways of combining cost: parameters, and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Timing:
    """How long an image takes a single head or detector, and on what.

    Attributes:
        single_seconds: The median over images, without reading them.
        images: How many were timed.
        device: "CPU, 2 threads", or the GPU's name.
    """

    single_seconds: float
    images: int
    device: str


@dataclass(frozen=True)
class Costs:
    """What members and methods cost; what is not known is left out.

    Attributes:
        parameters: Member or method -> number of parameters of all that runs.
        added_seconds: Method -> what an image takes more than a single member does: the median of the differences.
        timing: The single member's; None where nothing was timed.
    """

    parameters: Mapping[str, int] = field(default_factory=dict)
    added_seconds: Mapping[str, float] = field(default_factory=dict)
    timing: Timing | None = None


def count_parameters(*modules: nn.Module) -> int:
    """Return the number of parameters of all modules together."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
