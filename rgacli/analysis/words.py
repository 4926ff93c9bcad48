"""Numbers and their 95 % intervals, in sentences and in the cells of tables."""

from __future__ import annotations

import math

from rgacli.analysis.intervals import is_within


def in_words(value: float, low: float, high: float, decimals: int = 3, unit: str = "") -> str:
    """Return a difference in a sentence: "+0.021 (95 %: +0.004 to +0.038)".

    It says so where the difference is within its interval or has none.
    """
    told = f"{signed(value, decimals)}{unit}"
    if math.isnan(low):
        return f"{told} (no interval)"
    within = ", within its interval" if is_within(low, high) else ""
    return f"{told}{within} (95 %: {signed(low, decimals)} to {signed(high, decimals)})"


def short(value: float, low: float, high: float, decimals: int = 3) -> str | None:
    """Return a difference in a table: "+0.021 ±0.017"; None of an unknown one."""
    if math.isnan(value):
        return None
    shown = signed(value, decimals)
    return shown if math.isnan(low) else f"{shown} ±{(high - low) / 2:.{decimals}f}"


def with_ends(value: float, low: float, high: float, decimals: int = 2, unit: str = "") -> str:
    """Return a value in a sentence or a table: "0.33 (0.31 to 0.35)", without the ends where they are unknown."""
    if math.isnan(value):
        return "unknown"
    known = "" if math.isnan(low) else f" ({plain(low, decimals)}{unit} to {plain(high, decimals)}{unit})"
    return f"{plain(value, decimals)}{unit}{known}"


def spread(low: float, high: float, decimals: int = 2) -> str:
    """Return an interval in a sentence: "0.31 to 0.35"."""
    return "interval unknown" if math.isnan(low) else f"{plain(low, decimals)} to {plain(high, decimals)}"


def ends(low: float, high: float, decimals: int = 2) -> str | None:
    """Return an interval in a table: "0.31…0.35"; None of an unknown one."""
    return None if math.isnan(low) else f"{plain(low, decimals)}…{plain(high, decimals)}"


def signed(value: float, decimals: int = 3) -> str:
    """Return "+0.021" or "−0.021"; what rounds to nothing has no sign: "0.000"."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def plain(value: float, decimals: int = 2) -> str:
    """Return "0.02" or "−0.02"; what rounds to nothing has no sign either."""
    return signed(value, decimals).removeprefix("+")
