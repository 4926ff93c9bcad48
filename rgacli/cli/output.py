"""What commands print: tables on stdout (or JSON and nothing else), everything else on stderr."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from rgacli.evaluation.max_dets import MaxDets

# Exit, Abort, and the base of Typer's usage errors, which it shows itself; some versions bring their own click.
# A closed pipe (`rgacli … | head`) is no error either: Typer ends quietly on it.
TYPERS_OWN = (typer.Exit, typer.Abort, typer.BadParameter.__mro__[2], BrokenPipeError)

# What terminals take for commands, but line ends and tabs; names are the user's, or somebody else's.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

messages = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line for the person at the terminal, on stderr."""
    messages.print(_CONTROL.sub(_escaped, text))


def mute() -> None:
    """Silence this process: of a job of several, one speaks."""
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def unmute() -> None:
    """Undo `mute`."""
    if getattr(sys.stderr, "name", None) == os.devnull:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout. A NaN, which JSON has no word for, becomes null; a path or a time, text."""
    print(json.dumps(_plain(value), indent=2))


def print_table(
    title: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    *,
    group: str | None = None,
    whole: str | None = None,
) -> None:
    """Print rows as a table on stdout.

    Args:
        title: Stands above the table.
        columns: Key in a row -> heading.
        rows: One mapping per line; a missing key or None shows as "-", a float with three decimals.
        group: Key of a column whose value is shown once for the rows that share it; a line parts the groups.
        whole: Key of a column that is never folded: names that are copied.
    """
    table = Table(show_header=any(columns.values()))
    for key, heading in columns.items():
        numeric = all(isinstance(row.get(key), (int, float, type(None))) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold", no_wrap=key == whole)
    shown = None
    for row in rows:
        if group and row[group] != shown and table.row_count:
            table.add_section()
        table.add_row(*("" if key == group and row[key] == shown else _cell(row.get(key)) for key in columns))
        shown = row.get(group)
    console = Console(highlight=False, markup=False, emoji=False)  # names are the user's: they are text
    console.print(title, style="bold", soft_wrap=True)  # above the table, which may be narrower
    console.print(table)


def counted(max_dets: MaxDets) -> str:
    """Return what the title of a table says of the detections that count: how many, and where it matters why."""
    number, densest = f"{max_dets.value} detections an image", f"the densest image has {max_dets.densest} objects"
    official = f"{max_dets.benchmark}'s official number"
    if max_dets.value != max_dets.official:
        why = f" ({densest})" if max_dets.densest > max_dets.official else ""
        return f"{number}{why}; --max-dets {max_dets.official} is {official}"
    return f"{number}, {official}, but {densest}" if max_dets.densest > max_dets.value else number


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else _CONTROL.sub(_escaped, str(value))


def _escaped(character: re.Match) -> str:
    return f"\\x{ord(character[0]):02x}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value
