"""The tables of a record as README has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rgacli.analysis.finding import Table
from rgacli.reproduction.judging import JudgedTable
from rgacli.reproduction.record import read_record
from rgacli.reproduction.tables import in_table, seeds_text, shown, table_of, verdicts
from rgacli.wording import sentence

_BLOCK = re.compile(r"<!-- evidence: (\S+) -->\n(.*?)<!-- end of evidence -->", re.DOTALL)


def with_evidence(text: str, root: Path) -> str:
    """Return a text with the tables of the records that it names, generated anew.

    Args:
        text: With `<!-- evidence: assets/evidence/embedded.json -->` and `<!-- end of evidence -->` about each.
        root: What the records' paths are relative to.

    Raises:
        DataError: a record is not there, or is none.
    """

    def block(match: re.Match) -> str:
        return f"<!-- evidence: {match[1]} -->\n\n{markdown(read_record(root / match[1]))}\n\n<!-- end of evidence -->"

    return _BLOCK.sub(block, text)


def markdown(record: Mapping[str, Any]) -> str:
    """Return a record's verdicts, those that did not come out first, and its tables, folded."""
    tables = [table for table in map(table_of, record["tables"]) if _is_measured(table)]
    lines = [_about(record), ""]
    lines += [f"- {_bold_first(sentence(text))}" for text in verdicts(tables)]
    lines += ["", f"<details><summary>The {len(tables)} tables, beside the paper's numbers</summary>"]
    for table in tables:
        lines += ["", f"**{table.title}**, {seeds_text(in_table(table))}"]
        for one in shown(table):
            lines += ["", *_rows(one)]
    return "\n".join([*lines, "", "</details>"])


def _is_measured(table: JudgedTable) -> bool:
    return any(cell.seeds for row in table.rows for cell in row.cells.values())


def _about(record: Mapping[str, Any]) -> str:
    jobs = [step for steps in record["jobs"].values() for step in steps.values()]
    trained = [steps["train"] for steps in record["jobs"].values() if "train" in steps]
    first = trained[0]
    dates = sorted({step["date"] for step in jobs})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = ", ".join(f"{name} {first['versions'][name]}" for name in ("torch", "mmdet", "hotcoco"))
    machine = first["machine"]
    place = machine["name"] if machine["device"] == "cuda" else f"{machine['threads']} thread of {machine['name']}"
    hours = sum(step["seconds"] for step in trained) / 3600
    effort = f"{len(trained)} trainings, {hours:.1f} hours of {place} each"
    return (
        f"*{record['title']}: {effort}, {when}; {versions}. In percent; ± is the 95 % interval over seeds (Student's), "
        "of differences within a seed.*"
    )


def _bold_first(text: str) -> str:
    first, colon, rest = text.partition(":")
    return f"**{first}**{colon}{rest}"


def _rows(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(table.columns.values()) + " |"
    yield "|" + "---|" * len(table.columns)
    for row in table.rows:
        yield "| " + " | ".join(str(row.get(key) or "") for key in table.columns) + " |"
