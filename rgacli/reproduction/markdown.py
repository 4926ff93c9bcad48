"""The tables of a record as README has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rgacli.analysis.finding import Table
from rgacli.reproduction.judging import JudgedTable
from rgacli.reproduction.tables import (
    VERDICTS,
    cells_shown,
    claim_cells,
    in_table,
    most_seeds,
    seeds_text,
    table_of,
)


def markdown(record: Mapping[str, Any]) -> str:
    """Return a record's claims, those that did not come out first, and its tables, folded."""
    tables = [table for table in map(table_of, record["tables"]) if _is_measured(table)]
    claims = _claims(tables)
    counts = Counter(claim["verdict"] for claim in claims.rows)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]).replace("holds", "hold")
    lines = [_about(record), "", f"Of {len(claims.rows)} claims: {told}.", "", *_rows(claims), ""]
    lines += [f"<details><summary>The {len(tables)} tables, beside the paper's numbers</summary>"]
    for table in tables:
        title = f"**{table.name}: {table.title}**, {seeds_text(in_table(table))}"
        lines += ["", title, "", *_rows(cells_shown(table.title, table, table.columns))]
    return "\n".join([*lines, "", "</details>"])


def _claims(tables: Sequence[JudgedTable]) -> Table:
    """Return what is claimed in all tables, by verdict."""
    rows = [
        {**claim_cells(claim, most_seeds(table)), "table": table.name} for table in tables for claim in table.claims
    ]
    columns = {name: name for name in ("verdict", "table", "claim", "measured", "paper")}
    return Table("claims", columns, sorted(rows, key=lambda row: VERDICTS.index(row["verdict"])))


def _is_measured(table: JudgedTable) -> bool:
    return any(cell.seeds for row in table.rows for cell in row.cells.values())


def _about(record: Mapping[str, Any]) -> str:
    jobs = [step for steps in record["jobs"].values() for step in steps.values()]
    trained = [steps["train"] for steps in record["jobs"].values() if "train" in steps]
    dates = sorted({step["date"] for step in jobs})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    places, versions = (" or ".join(dict.fromkeys(map(told, trained))) for told in (_place, _versions))
    hours = sum(step["seconds"] for step in trained) / 3600
    effort = f"{len(trained)} trainings with {places} each, {hours:.1f} hours in all"
    return (
        f"*{record['title']}: {effort}, {when}; {versions}. In percent; ± is the 95 % interval over seeds (Student's), "
        "of differences within a seed.*"
    )


def _place(trained: Mapping[str, Any]) -> str:
    machine = trained["machine"]
    if machine["device"] == "cuda":
        return machine["name"]
    return f"{machine['threads']} thread{'s' * (machine['threads'] != 1)} of {machine['name']}"


def _versions(trained: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {trained['versions'][name]}" for name in ("torch", "mmdet", "hotcoco"))


def _rows(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(table.columns.values()) + " |"
    yield "|" + "---|" * len(table.columns)
    for row in table.rows:
        yield "| " + " | ".join(str(row.get(key) or "") for key in table.columns) + " |"
