"""Checks of parameters that several functions have."""

from __future__ import annotations

from typing import Any

from rgacli.errors import UsageError
from rgacli.evaluation.tiles import OVERLAP, Tiling
from rgacli.wording import param


def require_used(name: str, value: Any, default: Any, **users: Any) -> None:
    """Raise a UsageError for a parameter that is given while nothing that uses it is."""
    if value != default and not any(users.values()):
        raise UsageError(f"{param(name, value)} goes with {' or '.join(map(param, users))}.")


def require_at_least(least: int, **values: int) -> None:
    """Raise a UsageError for a parameter that is below the least that it can be."""
    for name, value in values.items():
        if value < least:
            raise UsageError(f"{param(name, value)}: it must be at least {least}.")


def tiling_of(tiles: int | None, tile_overlap: float) -> Tiling | None:
    """Return the tiling that is asked for, if one is.

    Raises:
        UsageError: a number is out of range, or the package sahi is missing.
    """
    require_used("tile_overlap", tile_overlap, OVERLAP, tiles=tiles is not None)
    return None if tiles is None else Tiling(tiles, tile_overlap)
