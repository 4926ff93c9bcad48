import json
from dataclasses import replace
from pathlib import Path

import pytest

from rgacli.api.reproduce import JobReport, Reproduction
from rgacli.reproduction.folder import SweepFolder
from rgacli.reproduction.stopping import Stopped
from tests.cli.commands import error_line, invoke, snapshot
from tests.support.sweeping import JOBS, Fake, finish, jobs, write_sweep

OUT = Path("reproduction/mine")


@pytest.fixture
def mine(folder, monkeypatch):
    """A sweep's file in the working folder; what runs its jobs makes up results."""
    fake = Fake(OUT)
    monkeypatch.setattr("rgacli.api.reproduce._executor", lambda *_: fake)
    return write_sweep(folder / "mine.yaml")


def stdout_lines(result):
    return [line for line in result.stdout.splitlines() if line.strip()]


def test_a_sweep_prints_its_tables_beside_the_papers(mine):
    result = invoke("reproduce", "mine.yaml", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "36.1" in result.stdout
    row = next(line for line in stdout_lines(result) if "PRM is better" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]][1:] == ["+2.00 ± 0.00", "+1.2", "holds"]
    assert "6 of 6 jobs to run; manifest: reproduction/mine/manifest.json" in result.stderr
    assert "tables: reproduction/mine/tables" in result.stderr


def test_json_is_all_there_is_on_stdout(mine):
    result = invoke("reproduce", "mine.yaml", "--json", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    assert [job["name"] for job in content["jobs"]] == JOBS
    assert content["tables"][0]["claims"][0]["verdict"] == "holds"
    assert content["folder"] == str(OUT)


def test_failed_jobs_are_listed_with_their_reasons(mine, monkeypatch):
    fake = Fake(OUT, failing=["prm-s0"])
    monkeypatch.setattr("rgacli.api.reproduce._executor", lambda *_: fake)
    result = invoke("reproduce", "mine.yaml", "--device", "cpu")
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "6 jobs: 4 finished, 2 failed" in said
    assert "prm-s0 failed: the loss is not finite. (log: reproduction/mine/jobs/prm-s0/log.txt)" in said
    assert "both-s0 failed: it needs prm-s0, which is not finished." in said
    assert "Traceback" not in result.stderr
    assert "│ plain" in result.stdout  # what is there is shown


def test_a_sweep_that_did_not_come_to_its_end_is_none_that_went_well(mine, monkeypatch):
    open_ = [JobReport("a-s0", "a", 0, ("rgacli train",), "stopped", "", None, Path("log.txt"))]
    found = Reproduction("mine.yaml", "mine", None, OUT, OUT / "manifest.json", tuple(open_), (), ())
    monkeypatch.setattr("rgacli.api.reproduce.reproduce", lambda *_, **__: found)
    result = invoke("reproduce", "mine.yaml")
    assert result.exit_code == 1
    assert "1 jobs: 1 stopped" in result.stderr
    assert invoke("reproduce", "mine.yaml", "--collect").exit_code == 0
    many = replace(found, jobs=tuple(replace(open_[0], name=f"a-s{n}", state="failed", error="no.") for n in range(25)))
    monkeypatch.setattr("rgacli.api.reproduce.reproduce", lambda *_, **__: many)
    said = invoke("reproduce", "mine.yaml").stderr
    assert said.count(" failed: no.") == 20
    assert "and 5 more failed: see the manifest" in said


def test_ctrl_c_costs_one_line(mine, monkeypatch):
    fake = Fake(OUT, stopping="prm-s0")
    monkeypatch.setattr("rgacli.api.reproduce._executor", lambda *_: fake)
    result = invoke("reproduce", "mine.yaml", "--device", "cpu")
    assert result.exit_code == Stopped.exit_code == 130
    assert "stopped; the same call goes on with the jobs in reproduction/mine." in error_line(result.stderr)


def test_a_dry_run_prints_commands_and_writes_nothing(folder):
    write_sweep(folder / "mine.yaml")
    before = snapshot(folder)
    result = invoke("reproduce", "mine.yaml", "--dry-run", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert snapshot(folder) == before
    lines = stdout_lines(result)
    assert lines[0] == "# 6 jobs in reproduction/mine"
    assert lines[1] == "# plain-s0"
    assert lines[2] == (
        "rgacli train quickstart --epochs 1 --lambda0 1 --ratios 1:3 --seed 0 --device cpu "
        "--work-dir reproduction/mine/runs/plain-s0"
    )
    assert lines[3] == "rgacli eval reproduction/mine/runs/plain-s0 --head all --device cpu"
    assert result.stderr == ""


def test_collecting_shows_what_is_finished(folder):
    write_sweep(folder / "mine.yaml")
    for job in jobs()[:3]:
        finish(SweepFolder(OUT), job)
    result = invoke("reproduce", "mine.yaml", "--collect", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "6 jobs: 3 finished, 3 waiting" in result.stderr
    assert "30.0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table9"], "TARGET 'table9' is none of table1, "),
        (["no.yaml"], "there is no sweep no.yaml"),
        (["mine.yaml", "--table", "minor"], "there is no table 'minor', but main, pair"),
        (["mine.yaml", "--scale", "paper"], "--scale paper is of the paper's tables and figures"),
        (["mine.yaml", "--address", "auto"], "--address auto goes with --executor ray."),
        (["mine.yaml", "--slurm", "partition=gpu"], "--slurm partition=gpu goes with --executor slurm."),
        (["mine.yaml", "--collect", "--dry-run"], "--collect and --dry-run do not go together"),
        (["bad.yaml"], "bad.yaml: train: 'epoch' is none of accumulate, "),
    ],
)
def test_what_cannot_be_run_costs_one_line(folder, arguments, words):
    write_sweep(folder / "mine.yaml")
    write_sweep(folder / "bad.yaml", train={"epoch": 1})
    before = snapshot(folder)
    result = invoke("reproduce", *arguments)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
    assert snapshot(folder) == before
