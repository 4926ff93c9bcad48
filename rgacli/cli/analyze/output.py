"""What the subcommands of `rgacli analyze` print."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from rgacli.cli.output import print_json, print_table

if TYPE_CHECKING:
    from rgacli.analysis.finding import Analysis


def print_analysis(found: Analysis, *, json: bool, note: str = "") -> None:
    """Print an analysis on stdout: its tables, what they say, and what the paper found; or all as JSON.

    Args:
        found: The analysis.
        json: Whether JSON is wanted.
        note: Added to the tables' titles.
    """
    if json:
        saved = {key: getattr(found, key) for key in ("conclusion", "paper", "figure", "vector", "data")}
        print_json({"name": found.name, **found.about, "rows": [asdict(row) for row in found.rows], **saved})
        return
    for table in found.finding.tables():
        print_table(table.title + note, table.columns, table.rows, group=table.group)
    typer.echo(f"found: {found.conclusion}.")
    if found.paper:
        typer.echo(f"the paper: {found.paper}.")
