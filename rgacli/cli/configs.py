"""`rgacli configs`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgacli.cli.options import JsonOption
from rgacli.cli.output import print_json, print_table
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from rgacli.config.catalogue import CatalogueEntry

_TABLES = {
    1: "two heads, alone and together (COCO minival)",
    2: "main results (COCO minival)",
    3: "beside other detectors (COCO test-dev; * re-implemented by the paper)",
    4: "λ0 and annealing (COCO minival)",
    5: "pairs of sampling ratios (COCO minival)",
    6: "a third head (COCO minival)",
    7: "CrowdHuman (* re-implemented by the paper)",
    8: "hard and soft sampling (COCO minival)",
}


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
    """List the bundled configs with the paper's results for them, or print one fully resolved.

    Every row of the paper's tables has its config; one config may be a row of several tables. The whole list shows
    the first number of each row; --table and --json show them all.
    """
    if name is not None:
        if table is not None:
            raise UsageError("--table lists configs and NAME prints one: give one of the two.")
        _print_resolved(name, json)
        return
    if table is not None and table not in _TABLES:
        raise UsageError(f"--table {table}: the paper has tables 1 to {max(_TABLES)}.")

    from rgacli.config.catalogue import read_catalogue

    entries = read_catalogue()
    if table is not None:
        entries = [replace(entry, paper=_of_table(entry, table)) for entry in entries if _of_table(entry, table)]
    if json:
        print_json({"configs": [asdict(entry) for entry in entries]})
        return
    for number, title in _TABLES.items():
        rows = [
            {
                "config": f"{entry.name}\n  {_method(entry)}",
                "row": result["row"],
                "results": _results(result, all_of_them=table is not None),
            }
            for entry in entries
            for result in _of_table(entry, number)
        ]
        if rows:
            columns = {"config": "config", "row": "row in the paper", "results": "result (%)"}
            print_table(f"Table {number}: {title}", columns, rows, whole="config")
    others = [{"config": entry.name, "description": entry.description} for entry in entries if not entry.paper]
    if others:
        columns = {"config": "config", "description": "what it trains"}
        print_table("not in the paper", columns, others, whole="config")


def _print_resolved(name: str, json: bool) -> None:
    from rgacli.config.files import load_config

    cfg = load_config(name)
    if json:
        print_json(cfg.to_dict())
    else:
        print(cfg.pretty_text, end="")


def _of_table(entry: CatalogueEntry, table: int) -> tuple[dict[str, Any], ...]:
    return tuple(result for result in entry.paper if result["table"] == table)


def _results(result: dict[str, Any], *, all_of_them: bool) -> str:
    """The row's first number, or every one of them."""
    numbers = [f"{metric}={number}" for metric, number in result.items() if metric not in ("table", "row")]
    return " ".join(numbers if all_of_them else numbers[:1])


def _method(entry: CatalogueEntry) -> str:
    if entry.plain:
        return "as mmdet has it: no PRM, no RGA"
    return f"{', '.join(entry.ratios)} ({entry.sampling}), λ0 {entry.lambda0:g} ({entry.anneal})"
