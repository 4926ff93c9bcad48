"""Numbers as files of a sweep keep them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any


def rounded(value: Any) -> Any:
    """Return a value with floats of six digits, and None for NaN, which JSON has no word for."""
    if isinstance(value, float):
        return None if isnan(value) else float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return value
