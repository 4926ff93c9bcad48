"""Judged tables as files: CSV, LaTeX and JSON, and the cells that every way of showing them shares."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rgacli.analysis.finding import Table
from rgacli.errors import DataError
from rgacli.files import write_text
from rgacli.reproduction.judging import Judged, JudgedClaim, JudgedRow, JudgedTable
from rgacli.reproduction.numbers import rounded

COLUMNS = ("table", "row", "column", "quantity", "mean", "low", "high", "seeds", "paper")
_METRICS_BESIDE_THE_PAPERS = 3
"""In one table: so many are legible on a terminal of 80 columns."""
CLAIM_COLUMNS = ("table", "claim", "quantity", "expected", "margin", "mean", "low", "high", "seeds", "paper", "verdict")


def value_text(judged: Judged, *, signed: bool = False, of: int = 0) -> str:
    """Return "17.3 ± 0.8", "17.3" where there is no interval, "–" where nothing was measured.

    Args:
        judged: The quantity.
        signed: Whether it is a difference, which has a digit more.
        of: So many seeds others have: "17.3 ± 0.8 (2 seeds)" where this one has fewer.
    """
    number = len(judged.seeds)
    if not number:
        return "–"
    digits = 2 if signed else 1
    half = "" if math.isnan(judged.low) else f" ± {(judged.high - judged.low) / 2:.{digits}f}"
    fewer = f" ({number} seed{'s' * (number != 1)})" if number < of else ""
    return f"{judged.mean:{'+' * signed}.{digits}f}{half}{fewer}"


def paper_text(judged: Judged, *, signed: bool = False) -> str:
    """Return the paper's number with its one digit or two, or ""."""
    if judged.paper is None:
        return ""
    digits = 1 if round(judged.paper, 1) == judged.paper else 2
    return f"{judged.paper:{'+' * signed}.{digits}f}"


def seeds_text(judged: Sequence[Judged]) -> str:
    """Return "5 seeds", or "3 to 5 seeds" where some have fewer."""
    numbers = sorted({len(one.seeds) for one in judged if one.quantity})
    if not numbers:
        return "no seeds"
    several = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
    return f"{several} seed{'s' * (numbers[-1] != 1)}"


def in_table(table: JudgedTable) -> list[Judged]:
    """Return all that was measured in a table, claims included."""
    return [*(cell for row in table.rows for cell in row.cells.values()), *table.claims]


def most_seeds(table: JudgedTable) -> int:
    """Return how many seeds what has most of them in a table has."""
    return max((len(one.seeds) for one in in_table(table)), default=0)


def write_tables(folder: Path, tables: Sequence[JudgedTable]) -> list[Path]:
    """Write each table as NAME.csv, NAME-claims.csv and NAME.tex, and tables.json; return the files.

    tables.json keeps those that were written into the folder before.
    """
    written = []
    for table in tables:
        for name, text in (
            (f"{table.name}.csv", _csv(COLUMNS, _cells(table))),
            (f"{table.name}-claims.csv", _csv(CLAIM_COLUMNS, _claims(table)) if table.claims else ""),
            (f"{table.name}.tex", latex(table)),
        ):
            if text:
                write_text(folder / name, text)
                written.append(folder / name)
    with suppress(DataError):
        tables = list({table.name: table for table in (*read_tables(folder), *tables)}.values())
    content = json.dumps([rounded(asdict(table)) for table in tables], indent=1, ensure_ascii=False)
    write_text(folder / "tables.json", content + "\n")
    return [*written, folder / "tables.json"]


def latex(table: JudgedTable) -> str:
    """Return a table for LaTeX with the package booktabs: ours beside the paper's, and the claims below."""
    columns = "".join("rr" for _ in table.columns)
    lines = [
        f"% {' '.join(table.title.split())}; {seeds_text(in_table(table))}, 95 % intervals over seeds. Needs booktabs.",
        rf"\begin{{tabular}}{{l{columns}}}",
        r"\toprule",
        " & ".join(["", *(rf"{_escaped(column)} & paper" for column in table.columns)]) + r" \\",
        r"\midrule",
    ]
    most = most_seeds(table)
    for row in table.rows:
        cells = [row.cells.get(column) for column in table.columns]
        shown = [f"{_escaped(value_text(one, of=most))} & {paper_text(one)}" if one else " & " for one in cells]
        lines.append(" & ".join([_escaped(row.label), *shown]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.claims:
        lines += [r"\begin{tabular}{lrrl}", r"\toprule", r"claim & measured & paper & \\", r"\midrule"]
        for claim in table.claims:
            lines.append(" & ".join(map(_escaped, claim_cells(claim, most).values())) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"},
    **{"<": "$<$", ">": "$>$"},
    **{"λ₀": r"$\lambda_0$", "λ0": r"$\lambda_0$", "λ": r"$\lambda$"},
    **{"±": r"$\pm$", "×": r"$\times$", "→": r"$\to$", "–": "--"},
}
_NOT_AS_THEY_ARE = re.compile("|".join(map(re.escape, _LATEX)))


def _escaped(text: str) -> str:
    return _NOT_AS_THEY_ARE.sub(lambda found: _LATEX[found[0]], text)


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(table: JudgedTable) -> list[dict[str, Any]]:
    return [
        {"table": table.name, "row": row.label, "column": column, **_numbers(one)}
        for row in table.rows
        for column, one in row.cells.items()
    ]


def _claims(table: JudgedTable) -> list[dict[str, Any]]:
    return [
        {
            **{"table": table.name, "claim": one.claim, "expected": one.expected, "margin": one.margin},
            **_numbers(one),
            "verdict": one.verdict,
        }
        for one in table.claims
    ]


def _numbers(one: Judged) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in ("mean", "low", "high")}
    known = {name: "" if math.isnan(value) else f"{value:.6g}" for name, value in values.items()}
    paper = "" if one.paper is None else one.paper
    return {"quantity": one.quantity, **known, "seeds": len(one.seeds), "paper": paper}


def shown(table: JudgedTable) -> list[Table]:
    """Return a table as it is read: what was measured beside the paper's numbers, and the verdicts on its claims."""
    has_paper = any(cell.paper is not None for row in table.rows for cell in row.cells.values())
    most = _METRICS_BESIDE_THE_PAPERS if has_paper else len(table.columns)
    title = f"{table.title}; {seeds_text(in_table(table))}, ± 95 % over seeds"
    found = [
        cells_shown(title, table, table.columns[first : first + most])
        for first in range(0, len(table.columns), max(1, most))
    ]
    if table.claims:
        claims = [claim_cells(claim, most_seeds(table)) for claim in table.claims]
        found.append(Table(f"{table.name}: what is claimed", {key: key for key in claims[0]}, claims))
    return found


def claim_cells(claim: JudgedClaim, of: int) -> dict[str, str]:
    """Return a claim as it is read: column -> text.

    Args:
        claim: What was judged.
        of: So many seeds others have.
    """
    return {
        "claim": claim.text,
        "measured": value_text(claim, signed=True, of=of),
        "paper": paper_text(claim, signed=True),
        "verdict": claim.verdict,
    }


def cells_shown(title: str, table: JudgedTable, metrics: Sequence[str]) -> Table:
    """Return some metrics of all rows, beside the paper's numbers; columns in which nothing stands are left out."""
    every = {"row": ""}
    for metric in metrics:
        every |= {metric: metric, f"paper {metric}": "paper"}
    rows, most = [], most_seeds(table)
    for row in table.rows:
        cells = {"row": row.label}
        for metric in metrics:
            if one := row.cells.get(metric):
                cells |= {metric: value_text(one, of=most), f"paper {metric}": paper_text(one)}
        rows.append(cells)
    columns = {key: heading for key, heading in every.items() if key == "row" or any(row.get(key) for row in rows)}
    return Table(title, columns, rows)


VERDICTS = ("contradicted", "not shown", "holds", "not measured")
"""The bad news first."""


def verdicts(tables: Sequence[JudgedTable]) -> list[str]:
    """Return a sentence for each verdict on what was measured, with the claims that have it and their numbers."""
    found = []
    for verdict in VERDICTS[:3]:
        claims = [
            f"{claim.text} ({value_text(claim, signed=True, of=most_seeds(table))})"
            for table in tables
            for claim in table.claims
            if claim.verdict == verdict
        ]
        if claims:
            found.append(f"{verdict}: {'; '.join(claims)}")
    return found


def read_tables(folder: Path) -> list[JudgedTable]:
    """Return the tables that `write_tables` left in a folder; none where there are none.

    Raises:
        DataError: they cannot be read.
    """
    path = folder / "tables.json"
    if not path.is_file():
        return []
    try:
        return [table_of(each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of tables: {error}.") from error


def table_of(content: Mapping[str, Any]) -> JudgedTable:
    """Return a table as JSON has it."""

    def judged(kind: type[Judged], own: Mapping[str, Any]) -> Any:
        numbers = {name: math.nan if own[name] is None else own[name] for name in ("mean", "low", "high")}
        lists = {name: tuple(own[name]) for name in ("seeds", "values")}
        return kind(**{**own, **numbers, **lists})

    rows = [
        JudgedRow(row["label"], {column: judged(Judged, own) for column, own in row["cells"].items()})
        for row in content["rows"]
    ]
    return JudgedTable(
        name=content["name"],
        title=content["title"],
        columns=tuple(content["columns"]),
        rows=tuple(rows),
        claims=tuple(judged(JudgedClaim, own) for own in content["claims"]),
        lacking=tuple(content["lacking"]),
    )
