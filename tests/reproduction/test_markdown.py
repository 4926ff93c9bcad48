import copy
from pathlib import Path

from rgacli.api.readme import with_tables
from rgacli.reproduction.markdown import markdown
from rgacli.reproduction.record import read_record

ROOT = Path(__file__).parents[2]


def judged(value, half, verdict=None, **own):
    found = {"quantity": "a/AP", "seeds": [0, 1], "values": [value, value], "mean": value, "low": value - half}
    found |= {"high": value + half, "paper": None, **own}
    return found if verdict is None else {**found, "expected": "positive", "margin": 0.0, "verdict": verdict}


def step(seconds, date="2026-11-30"):
    machine = {"device": "cpu", "name": "a processor", "threads": 1}
    return {
        "seconds": seconds,
        "date": date,
        "machine": machine,
        "versions": {"torch": "2", "mmdet": "3", "hotcoco": "1"},
    }


def a_record():
    unmeasured = {**judged(0, 0), "seeds": [], "values": [], "mean": None, "low": None, "high": None}
    table = {
        "name": "one",
        "title": "One",
        "columns": ["AP", "AP50"],
        "rows": [{"label": "plain", "cells": {"AP": judged(18.0, 0.5, paper=36.1)}}],
        "claims": [
            judged(4.0, 1.0, "holds", claim="PRM is better"),
            judged(-4.0, 1.0, "contradicted", claim="RGA is better", paper=1.2),
            judged(0.1, 1.0, "not shown", claim="both are better"),
        ],
        "lacking": [],
    }
    later = {"name": "two", "title": "Two", "columns": [], "claims": [], "lacking": []}
    later["rows"] = [{"label": "x", "cells": {"AP": unmeasured}}]
    jobs = {"plain-s0": {"train": step(3600), "evaluate": step(10, "2026-12-01")}, "rga-s0": {"train": step(1800)}}
    return {"format": 1, "title": "RGA and PRM", "tables": [table, later], "jobs": jobs}


def test_what_did_not_come_out_stands_first():
    lines = markdown(a_record()).splitlines()
    assert "Of 3 claims: 1 contradicted, 1 not shown, 1 hold." in lines
    first = lines.index("| verdict | table | claim | measured | paper |")
    assert lines[first + 2 : first + 5] == [
        "| contradicted | one | RGA is better | -4.00 ± 1.00 | +1.2 |",
        "| not shown | one | both are better | +0.10 ± 1.00 |  |",
        "| holds | one | PRM is better | +4.00 ± 1.00 |  |",
    ]
    assert first < lines.index("**one: One**, 2 seeds") < lines.index("</details>")


def test_cells_stand_beside_the_papers_numbers():
    lines = markdown(a_record()).splitlines()
    assert "|  | AP | paper |" in lines
    assert "| plain | 18.0 ± 0.5 | 36.1 |" in lines


def test_it_says_what_was_trained_where_and_when():
    first = markdown(a_record()).splitlines()[0]
    assert first.startswith(
        "*RGA and PRM: 2 trainings with 1 thread of a processor each, 1.5 hours in all, 2026-11-30 to 2026-12-01;"
    )
    assert "torch 2, mmdet 3, hotcoco 1" in first


def test_tables_that_nothing_was_measured_of_are_left_out():
    assert "Two" not in markdown(a_record())


def test_a_record_is_not_changed_by_being_shown():
    record = a_record()
    before = copy.deepcopy(record)
    markdown(record)
    assert record == before


def test_readme_says_what_the_records_say():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_tables(readme, ROOT) == readme
    for path in (ROOT / "assets" / "evidence").glob("*.yaml"):
        record = path.with_suffix(".json")
        if record.is_file():
            assert f"<!-- evidence: assets/evidence/{record.name} -->\n\n{markdown(read_record(record))}\n" in readme


def test_trainings_of_several_places_name_each():
    record = a_record()
    record["jobs"]["rga-s0"]["train"]["machine"] = {"device": "cuda", "name": "a GPU", "threads": 16}
    record["jobs"]["rga-s0"]["train"]["versions"] = {"torch": "3", "mmdet": "3", "hotcoco": "1"}
    first = markdown(record).splitlines()[0]
    assert "with 1 thread of a processor or a GPU each, 1.5 hours in all" in first
    assert "torch 2, mmdet 3, hotcoco 1 or torch 3, mmdet 3, hotcoco 1" in first
