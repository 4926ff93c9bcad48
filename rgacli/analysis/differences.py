"""Differences of AP, or of percentages, and their 95 % intervals, in words."""

from __future__ import annotations

import math


def is_within(low: float, high: float) -> bool:
    """Return whether a difference may as well be none: its interval holds 0, or is unknown."""
    return not (low > 0 or high < 0)


def in_words(value: float, low: float, high: float, decimals: int = 3) -> str:
    """Return "+0.021 (95 %: +0.004 to +0.038)", saying so where it is within its interval or has none."""
    if math.isnan(low):
        return f"{signed(value, decimals)} (no interval)"
    within = ", within its interval" if is_within(low, high) else ""
    return f"{signed(value, decimals)}{within} (95 %: {signed(low, decimals)} to {signed(high, decimals)})"


def short(value: float, low: float, high: float, decimals: int = 3) -> str | None:
    """Return "+0.021 ±0.017", for a cell of a table; None of an unknown difference."""
    if math.isnan(value):
        return None
    shown = signed(value, decimals)
    return shown if math.isnan(low) else f"{shown} ±{(high - low) / 2:.{decimals}f}"


def signed(value: float, decimals: int = 3) -> str:
    """Return "+0.021" or "−0.021"; what rounds to nothing has no sign: "0.000"."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", "−") if float(text) else text[1:]
