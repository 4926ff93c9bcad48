import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rgacli.api.report import Report
from tests.cli.commands import error_line, invoke

GLANCE = SimpleNamespace(
    figure=Path("figures/at_a_glance.png"), finding=SimpleNamespace(sentences=["Few are found.", "Heads differ."])
)
ANALYSES = {"gt_bins": SimpleNamespace(figure=Path("figures/gt_bins.png"))}
MADE = Report(
    Path("figures/report.html"), ["The ensemble gains.", "bccd-1 differs."], GLANCE, ANALYSES, {"Scores": "one head"}, 3
)


@pytest.fixture
def asked(monkeypatch):
    """What the function is called with; it makes nothing."""
    calls = []

    def report(runs, **options):
        calls.append((runs, options))
        return MADE

    monkeypatch.setattr("rgacli.api.report.report", report)
    return calls


def test_the_answer_is_printed_as_numbered_sentences(asked):
    result = invoke("analyze", "report", "a", "b", "--images", 7, "--open", "--split", "val")
    assert result.exit_code == 0
    assert result.stdout == (
        "1. The ensemble gains.\n2. bccd-1 differs.\n"
        "\nAt a glance, figures/at_a_glance.png:\n- Few are found.\n- Heads differ.\n"
    )
    [(runs, options)] = asked
    assert (runs, options["images"], options["open"], options["split"]) == (["a", "b"], 7, True, "val")


def test_json_names_the_page_the_figures_and_what_is_lacking(asked):
    assert json.loads(invoke("analyze", "report", "--json").stdout) == {
        "report": "figures/report.html",
        "answers": list(MADE.answers),
        "at_a_glance": ["Few are found.", "Heads differ."],
        "lacking": {"Scores": "one head"},
        "images": 3,
        "figures": {"gt_bins": "figures/gt_bins.png"},
    }


def test_where_there_is_nothing_to_show_at_a_glance_the_answer_is_all(monkeypatch):
    monkeypatch.setattr("rgacli.api.report.report", lambda runs, **options: replace(MADE, at_a_glance=None))
    assert invoke("analyze", "report").stdout == "1. The ensemble gains.\n2. bccd-1 differs.\n"
    assert json.loads(invoke("analyze", "report", "--json").stdout)["at_a_glance"] == []


def test_without_a_run_there_is_one_line(folder):
    result = invoke("analyze", "report")
    assert result.exit_code == 2
    assert "train one first" in error_line(result.stderr)
