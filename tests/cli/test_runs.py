"""`rgacli runs`: what only the command line does. What it calls is tested in tests/api/test_runs.py."""

import json

import pytest

from rgacli.runs import Run
from tests.cli.commands import EPOCHS, RUN, error_line, invoke, logged
from tests.support.run_folders import write_checkpoint, write_run


@pytest.fixture
def two_runs(folder):
    """A finished run and a damaged one."""
    write_checkpoint(write_run("runs/good", [0.1, 0.345], seconds=1) / "checkpoints/epoch_4.pth")
    (write_run("runs/bad", [0.5], seconds=2) / "config.py").write_text("model = dict(")
    return folder


@pytest.mark.parametrize("words", [[], ["list"]])
def test_the_table_has_a_line_for_each_run_and_what_is_wrong_with_it(two_runs, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = invoke("runs", *words)
    assert result.exit_code == 0
    text = result.stdout
    for shown in ("good", "quickstart on birds", "1:1, 1:9 (hard), λ0 5", "2/4", "0.345", "finished", "1/?", "damaged"):
        assert shown in text, shown
    assert text.index("good") < text.index("bad")
    assert "config.py is damaged" in text
    assert result.stderr == ""


def test_the_table_fits_eighty_columns_with_the_longest_name_of_a_config(folder):
    write_run("runs/faster-rcnn_r18-lite_fpn_rga-prm_20251231-235959", [0.1])
    assert max(map(len, invoke("runs").stdout.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--json"], ["list", "--json"]])
def test_json_has_the_same_values(two_runs, words):
    good, bad = json.loads(invoke("runs", *words).stdout)
    assert (good["name"], good["best"]["score"], good["state"], good["epochs"]) == ("good", 0.345, "finished", 4)
    assert good["begun"].startswith("1970-01-0")
    assert (bad["state"], bad["problems"]) == (None, ["config.py is damaged at line 1"])


def test_without_a_run_the_list_says_how_to_get_one(folder):
    result = invoke("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no run under runs/" in result.stderr
    assert json.loads(invoke("runs", "--json").stdout) == []


def test_a_run_is_shown(two_runs):
    text = invoke("runs", "show", "good").stdout
    for shown in (
        "/data/birds",
        "validated every",
        "SGD",
        "epoch_4.pth (",
        "last)",
        "best)",
        "last validation: epoch 2",
    ):
        assert shown in text, shown
    assert "best validation" not in text  # it is the last
    assert json.loads(invoke("runs", "show", "good", "--json").stdout)["schedule"]["learning rate"] == 0.01
    assert "damaged at line 1" in invoke("runs", "show", "bad").stdout
    assert "no run 'gone'" in error_line(invoke("runs", "show", "gone").stderr)


@pytest.mark.parametrize("command", ["rm", "prune"])
def test_nothing_is_removed_unless_it_is_confirmed(two_runs, command):
    result = invoke("runs", command, "good")  # nobody there to answer
    assert result.exit_code == 1
    assert {"rm": "remove", "prune": "prune"}[command] + " 1 run? [y/N]" in result.stderr
    assert invoke("runs", command, "good", "--dry-run", "--yes").exit_code == 0
    assert len(Run(two_runs / "runs/good").all_checkpoints()) == 3


def test_rm_says_what_it_frees(two_runs):
    result = invoke("runs", "rm", "good", "bad", "--yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "good: " in result.stderr
    assert "freed " in result.stderr.splitlines()[-1]
    assert not (two_runs / "runs/good").exists()
    assert invoke("runs", "rm").exit_code == 2


def test_prune_says_what_it_keeps_back(two_runs):
    (two_runs / "runs/bad/checkpoints/epoch_1.pth").write_bytes(b"cut")
    result = invoke("runs", "prune", "-y")
    assert result.exit_code == 0
    assert "good: " in result.stderr
    assert "(epoch_1.pth)" in result.stderr
    assert "bad: runs/bad/checkpoints/epoch_1.pth is damaged" in result.stderr
    assert "nothing to remove" in invoke("runs", "prune", "good").stderr


def test_a_pruned_run_resumes(run):
    (run / f"checkpoints/epoch_{EPOCHS}.pth").unlink()  # as if it had been stopped before
    before = logged(run)[0]
    assert invoke("runs", "prune", RUN, "--yes").exit_code == 0
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.pth", f"epoch_{EPOCHS - 1}.pth"}
    result = invoke("train", "--resume", "--name", RUN)
    assert result.exit_code == 0, result.stderr
    assert [step["iter"] for step in logged(run)[0]] == [step["iter"] for step in before]
    (record,) = json.loads(invoke("runs", "--json").stdout)
    assert (record["state"], record["epoch"], record["config"]) == ("finished", EPOCHS, "quickstart")
