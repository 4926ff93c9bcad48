"""`rgacli configs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.command import Command
from rgacli.cli.options import JsonOption
from rgacli.cli.output import print_json, print_table
from rgacli.config.catalogue import TABLES

if TYPE_CHECKING:
    from rgacli.config.catalogue import CatalogueEntry

app = typer.Typer()


@app.command(cls=Command)
def configs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            show_default=False,
            help="Print this one fully resolved: a bundled config, one of mmdet's "
            "(mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py) or a file. Default: list the bundled ones.",
        ),
    ] = None,
    table: Annotated[
        int | None, typer.Option(help="List the configs of this table of the paper alone, 1 to 8.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the bundled configs with the results to hold them to, or print one fully resolved.

    Every row of the paper's tables has its config, by the settings of mmdet 1.x, which the paper trained with; one
    config may be a row of several tables. For your own data there are others, by mmdet 3's, with mmdet's baseline.
    The whole list shows the first number of each row; --table and --json show them all.
    """
    from rgacli.api.configs import ResolvedConfig
    from rgacli.api.configs import configs as list_or_resolve

    result = list_or_resolve(name, table=table)
    if isinstance(result, ResolvedConfig):
        if json:
            print_json(result.values)
        else:
            print(result.text, end="")
    elif json:
        print_json(asdict(result))
    else:
        _print_tables(result.configs, all_numbers=table is not None)


def _print_tables(entries: Sequence[CatalogueEntry], *, all_numbers: bool) -> None:
    for number, title in TABLES.items():
        rows = [
            {"config": _config(entry), "row": row["row"], "results": _results(row, all_numbers=all_numbers)}
            for entry in entries
            for row in entry.rows(number)
        ]
        if rows:
            columns = {"config": "config", "row": "row in the paper", "results": "result (%)"}
            print_table(f"Table {number}: {title}", columns, rows, whole="config")
    others = [
        {"config": _config(entry), "description": entry.description, "baseline": _baseline(entry)}
        for entry in entries
        if not entry.paper
    ]
    if others:
        columns = {"config": "config", "description": "what it trains", "baseline": "baseline (%)"}
        print_table("not in the paper", columns, others, whole="config")


def _config(entry: CatalogueEntry) -> str:
    """Return its name, and below it whose settings it has and its method."""
    if entry.plain:
        method = "no PRM, no RGA"
    else:
        method = f"{', '.join(entry.ratios)} ({entry.sampling}), λ0 {entry.lambda0:g} ({entry.anneal})"
    return f"{entry.name}\n  {entry.settings}: {method}"


def _results(row: dict[str, Any], *, all_numbers: bool) -> str:
    """Return the row's first number, or every one of them."""
    numbers = [f"{metric}={number}" for metric, number in row.items() if metric not in ("table", "row")]
    return " ".join(numbers if all_numbers else numbers[:1])


def _baseline(entry: CatalogueEntry) -> str | None:
    return f"AP={entry.baseline['AP']}" if entry.baseline else None
