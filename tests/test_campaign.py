"""The campaign's own arithmetic: what counts as ending well, and what the record says of trials."""

import ast
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from rgacli.api import readme
from tests.campaign import PARTS, record, tables
from tests.campaign.ended import Ended, require_nothing_half_written, require_well
from tests.campaign.running import _outcomes, attempt
from tests.campaign.trial import NotHere, Trial
from tests.support.processes import ROOT


def ended(code, stderr="", stdout=""):
    return Ended(("eval",), code, stdout, stderr, 1.0)


@pytest.mark.parametrize(
    "well",
    [ended(0, "a message"), ended(2, "error: no such run.\n"), ended(1, "told\nerror: rank 1: the disk is full.\n")],
)
def test_a_command_ends_well(well):
    assert require_well(well) is well


@pytest.mark.parametrize(
    ("badly", "why"),
    [
        (ended(None), "still at work"),
        (ended(-11), "exit code -11"),
        (ended(3), "exit code 3"),
        (ended(1, "Traceback (most recent call last):\n…\nerror: it.\n"), "a traceback"),
        (ended(1), "0 lines of error"),
        (ended(2, "error: one\nerror: two\n"), "2 lines of error"),
        (ended(1, "error: TypeError: 'NoneType' object has no attribute 'get'\n"), "Python's own words"),
        (ended(0, "error: and yet\n"), "yet exit code 0"),
    ],
)
def test_a_command_ends_badly(badly, why):
    with pytest.raises(AssertionError, match=why):
        require_well(badly)


def test_what_is_half_written_is_found(tmp_path):
    (tmp_path / ".git").mkdir()
    require_nothing_half_written(tmp_path)
    (tmp_path / ".epoch_1.x2y.pth").touch()
    with pytest.raises(AssertionError, match="epoch_1"):
        require_nothing_half_written(tmp_path)


def broken(folder):
    raise ValueError("no such thing")


def lost(folder):
    raise AssertionError("an epoch")


def elsewhere(folder):
    raise NotHere("no tmpfs")


def test_trials_are_counted(tmp_path):
    ways = {"well": lambda folder: {"MB": 3.0}, "lost": lost, "broken": broken, "elsewhere": elsewhere}
    trials = [Trial("kind of " + name, name, run, alone=name == "lost") for name, run in ways.items()]
    told = []
    outcomes = list(_outcomes(iter(trials), tmp_path / "trials", 2, told.append))
    assert sorted(told, key=str) == sorted(outcomes, key=str)
    assert list((tmp_path / "trials").iterdir()) == []
    part = record.assemble(outcomes, title="All", seed=3, short=True, seconds=9.6)
    counts = {kind: (found["tried"], found["survived"]) for kind, found in part["kinds"].items()}
    assert counts == {
        "kind of well": (1, 1),
        "kind of lost": (1, 0),
        "kind of broken": (1, 0),
        "kind of elsewhere": (0, 0),
    }
    assert part["kinds"]["kind of lost"]["failed"] == {"lost": "an epoch"}
    assert "ValueError: no such thing" in part["kinds"]["kind of broken"]["failed"]["broken"]
    failures = [{"part": PARTS[0], "what": "it", "mended": "a test"}, {"part": PARTS[0], "what": "that", "mended": ""}]
    shown = record.markdown({"parts": {PARTS[0]: part}}, failures)
    assert "| All | 3 | 1 | 2 | 1 |" in shown
    assert "| kind of well | 1 | 1 | well: MB 3 |" in shown
    assert "| kind of elsewhere | 0 | 0 | no tmpfs |" in shown


def test_a_trial_has_a_folder_of_its_own(tmp_path):
    seen = []
    attempt(Trial("kind", "name", lambda folder: seen.append(folder.is_dir())), tmp_path / "a/b")
    assert seen == [True]
    assert not (tmp_path / "a/b").exists()


def test_every_failure_that_was_mended_is_held_by_a_test():
    failures = record.found(ROOT)
    assert {failure["part"] for failure in failures} <= set(PARTS)
    assert all(count == 1 for count in Counter(failure["what"] for failure in failures).values())
    for failure in failures:
        if failure["mended"]:
            file, _, name = failure["mended"].partition("::")
            defined = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
            assert name in defined, failure


def test_readme_shows_the_record():
    text = (ROOT / "README.md").read_text()
    for name in readme.blocks(text, "campaign"):
        assert Path(ROOT, name).is_file()
    assert readme.with_tables(text, ROOT, tables.shown(ROOT)) == text


def test_blocks_of_other_kinds_stay():
    text = "<!-- campaign: nosuch.json -->\nas it was\n<!-- end of campaign -->"
    assert readme.with_tables(text, Path(), {}) == text
    shown = SimpleNamespace(table=lambda path: f"of {path}").table
    assert "of nosuch.json" in readme.with_tables(text, Path(), {"campaign": shown})
