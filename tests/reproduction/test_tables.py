import csv
import json
from dataclasses import replace

import pytest

from rgacli.errors import DataError
from rgacli.reproduction.judging import judge
from rgacli.reproduction.sweep import Claim, Quantity, Row, Table
from rgacli.reproduction.tables import (
    in_table,
    latex,
    paper_text,
    read_tables,
    seeds_text,
    shown,
    value_text,
    verdicts,
    write_tables,
)

of = Quantity.parse
NUMBERS = {
    "plain": {seed: {"AP": 36.0 + seed} for seed in range(3)},
    "rga": {seed: {"AP": 37.0 + 2 * seed, "AP50": 59.0} for seed in range(2)},
}
TABLE = Table(
    "main",
    "RGA & NaN\nat 50 %",
    (
        Row("plain_1:3", {"AP": of("plain/AP"), "AP50": of("plain/AP50")}, {"AP": 36.1, "AP50": 58.1}),
        Row("λ0 7 # ± {x}", {"AP": of("rga/AP")}, {"AP75": 40}),
    ),
    (
        Claim("RGA is 100 % better", of("rga/AP - plain/AP"), paper=1.2),
        Claim("NaN is no number", of("rga/AP50 - plain/AP50"), "zero", 0.5),
        Claim("plain rises", of("plain/AP"), "negative"),
    ),
    lacking=("two: not trained",),
)
JUDGED = judge(TABLE, NUMBERS)


def judged(*values, paper=None):
    """A quantity of so many seeds."""
    numbers = {"a": {seed: {"x": value} for seed, value in enumerate(values)}}
    return (
        judge(Table("t", "t", (Row("r", {"c": of("a/x")}, {} if paper is None else {"c": paper}),)), numbers)
        .rows[0]
        .cells["c"]
    )


@pytest.mark.parametrize(
    ("values", "text", "signed"),
    [
        ((), "–", "–"),
        ((17.34,), "17.3", "+17.34"),
        ((-0.5,), "-0.5", "-0.50"),
        ((1.0, 3.0), "2.0 ± 12.7", "+2.00 ± 12.71"),  # t of one degree of freedom is 12.706
    ],
)
def test_a_value_stands_with_its_interval(values, text, signed):
    assert value_text(judged(*values)) == text
    assert value_text(judged(*values), signed=True) == signed


def test_a_number_of_the_papers_is_as_it_gives_it():
    assert (paper_text(judged()), paper_text(judged(), signed=True)) == ("", "")
    assert (paper_text(judged(paper=36.1)), paper_text(judged(paper=1.2), signed=True)) == ("36.1", "+1.2")
    assert (paper_text(judged(paper=84.95)), paper_text(judged(paper=-2.29), signed=True)) == ("84.95", "-2.29")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((5, 5), "5 seeds"), ((1,), "1 seed"), ((3, 5), "3 to 5 seeds"), ((0,), "0 seeds"), ((), "no seeds")],
)
def test_seeds_are_counted(numbers, text):
    assert seeds_text([judged(*range(number)) for number in numbers]) == text


def test_cells_of_the_paper_alone_count_no_seeds():
    assert len(in_table(JUDGED)) == 4 + 3
    assert seeds_text([judge(TABLE, NUMBERS).rows[1].cells["AP75"]]) == "no seeds"


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_are_written_as_csv(tmp_path):
    files = write_tables(tmp_path, [JUDGED])
    assert [path.name for path in files] == ["main.csv", "main-claims.csv", "main.tex", "tables.json"]
    cells = rows_of(tmp_path / "main.csv")
    assert [(row["row"], row["column"], row["quantity"], row["mean"], row["seeds"], row["paper"]) for row in cells] == [
        ("plain_1:3", "AP", "plain/AP", "37", "3", "36.1"),
        ("plain_1:3", "AP50", "plain/AP50", "", "0", "58.1"),
        ("λ0 7 # ± {x}", "AP", "rga/AP", "38", "2", ""),
        ("λ0 7 # ± {x}", "AP75", "", "", "0", "40"),
    ]
    assert (cells[0]["low"], cells[0]["high"]) == ("34.5159", "39.4841")  # 37 -+ 4.30265 / sqrt(3)
    claims = rows_of(tmp_path / "main-claims.csv")
    assert [(row["claim"], row["expected"], row["margin"], row["verdict"]) for row in claims] == [
        ("RGA is 100 % better", "positive", "0.0", "not shown"),
        ("NaN is no number", "zero", "0.5", "not measured"),
        ("plain rises", "negative", "0.0", "contradicted"),
    ]
    assert all(row["table"] == "main" for row in (*cells, *claims))


def test_a_table_without_claims_has_no_file_of_them(tmp_path):
    write_tables(tmp_path, [judge(Table("bare", "t", TABLE.rows), NUMBERS)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.csv", "bare.tex", "tables.json"]


def test_json_has_null_where_a_number_is_unknown_and_texts_as_they_are(tmp_path):
    write_tables(tmp_path, [JUDGED])
    (found,) = json.loads((tmp_path / "tables.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert found["title"] == "RGA & NaN\nat 50 %"
    assert found["claims"][1]["claim"] == "NaN is no number"
    assert (found["claims"][1]["mean"], found["claims"][1]["seeds"]) == (None, [])
    assert found["rows"][0]["cells"]["AP"]["values"] == [36, 37, 38]


def test_tables_that_were_written_before_stay_in_the_folder(tmp_path):
    other = judge(Table("other", "t", TABLE.rows), NUMBERS)
    write_tables(tmp_path, [JUDGED])
    write_tables(tmp_path, [other])
    write_tables(tmp_path, [judge(replace(TABLE, title="anew"), NUMBERS)])
    assert [(table.name, table.title) for table in read_tables(tmp_path)] == [("main", "anew"), ("other", "t")]
    (tmp_path / "tables.json").write_text("{")
    write_tables(tmp_path, [other])
    assert [table.name for table in read_tables(tmp_path)] == ["other"]


def test_tables_are_read_as_they_were_written(tmp_path):
    assert read_tables(tmp_path) == []
    write_tables(tmp_path, [JUDGED])
    (found,) = read_tables(tmp_path)
    assert (found.name, found.title, found.columns, found.lacking) == (
        *("main", JUDGED.title, JUDGED.columns, JUDGED.lacking),
    )
    assert shown(found) == shown(JUDGED)
    assert verdicts([found]) == verdicts([JUDGED])
    assert [claim.verdict for claim in found.claims] == [claim.verdict for claim in JUDGED.claims]


@pytest.mark.parametrize("text", ["{", "[1]", '[{"name": "a"}]'])
def test_tables_that_cannot_be_read_are_told(tmp_path, text):
    (tmp_path / "tables.json").write_text(text)
    with pytest.raises(DataError, match=r"tables\.json is no list of tables: "):
        read_tables(tmp_path)


def test_latex_has_our_numbers_beside_the_papers():
    assert (
        latex(JUDGED)
        == r"""% RGA & NaN at 50 %; 0 to 3 seeds, 95 % intervals over seeds. Needs booktabs.
\begin{tabular}{lrrrrrr}
\toprule
 & AP & paper & AP50 & paper & AP75 & paper \\
\midrule
plain\_1:3 & 37.0 $\pm$ 2.5 & 36.1 & -- & 58.1 &  &  \\
$\lambda_0$ 7 \# $\pm$ \{x\} & 38.0 $\pm$ 12.7 (2 seeds) &  &  &  & -- & 40.0 \\
\bottomrule
\end{tabular}
\begin{tabular}{lrrl}
\toprule
claim & measured & paper & \\
\midrule
RGA is 100 \% better & +1.50 $\pm$ 6.35 (2 seeds) & +1.2 & not shown \\
NaN is no number (within $\pm$0.5) & -- &  & not measured \\
plain rises & +37.00 $\pm$ 2.48 &  & contradicted \\
\bottomrule
\end{tabular}
"""
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a & b_c # $1 100 %", r"a \& b\_c \# \$1 100 \%"),
        (r"\x{y}^2~z", r"\textbackslash{}x\{y\}\textasciicircum{}2\textasciitilde{}z"),
        ("λ₀ λ0 λ ±1 ×2 – a→b", r"$\lambda_0$ $\lambda_0$ $\lambda$ $\pm$1 $\times$2 -- a$\to$b"),
        ("a < b > c", "a $<$ b $>$ c"),
    ],
)
def test_what_latex_reads_as_its_own_is_escaped(text, escaped):
    table = judge(Table("t", "t", (Row(text, {"c": of("a/x")}),)), {})
    assert f"\n{escaped} & -- & " in latex(table)


def test_shown_are_columns_that_have_anything():
    table, claims = shown(JUDGED)
    assert table.title == "RGA & NaN\nat 50 %; 0 to 3 seeds, ± 95 % over seeds"
    assert list(table.columns) == ["row", "AP", "paper AP", "AP50", "paper AP50", "AP75", "paper AP75"]
    assert table.rows[0] == {
        **{"row": "plain_1:3", "AP": "37.0 ± 2.5", "paper AP": "36.1", "AP50": "–", "paper AP50": "58.1"}
    }
    assert [row["verdict"] for row in claims.rows] == ["not shown", "not measured", "contradicted"]
    (bare,) = shown(judge(Table("t", "t", (Row("r", {"x": of("a/x")}),)), {}))
    assert list(bare.columns) == ["row", "x"]


def test_verdicts_are_told_the_bad_news_first_and_of_what_was_measured():
    assert verdicts([JUDGED, JUDGED]) == [
        "contradicted: plain rises (+37.00 ± 2.48); plain rises (+37.00 ± 2.48)",
        "not shown: RGA is 100 % better (+1.50 ± 6.35 (2 seeds)); RGA is 100 % better (+1.50 ± 6.35 (2 seeds))",
    ]


def test_beside_the_papers_numbers_a_terminal_has_room_for_three_metrics():
    metrics = ("AP", "AP50", "AP75", "APs")
    row = Row("plain", {metric: of(f"plain/{metric}") for metric in metrics}, dict.fromkeys(metrics, 36.1))
    first, second = shown(judge(Table("wide", "Wide", (row,)), NUMBERS))
    assert list(first.columns.values()) == ["", "AP", "paper", "AP50", "paper", "AP75", "paper"]
    assert list(second.columns.values()) == ["", "APs", "paper"]
    assert first.title == second.title
    (whole,) = shown(
        judge(Table("wide", "Wide", (Row("plain", row.cells),)), {"plain": {0: dict.fromkeys(metrics, 1)}})
    )
    assert list(whole.columns.values()) == ["", *metrics]
