import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rgacli.cli.spelling import CommandLine
from rgacli.errors import DataError, UsageError
from rgacli.reproduction.folder import State, SweepFolder, call_as_kept
from rgacli.reproduction.jobs import Job, Step
from rgacli.wording import spelled, spelling_for

TRAIN = Step("train", {"config": "quickstart", "lambda0": 7, "seed": 0})
EVALUATE = Step("evaluate", {"head": "all"})
ARM = Job("rga-s0", "rga", 0, (TRAIN, EVALUATE))
OTHER = Job("plain-s0", "plain", 0, (Step("train", {"seed": 0}),))
PAIR = Job("two-s0", "two", 0, (Step("ensemble", {"timed": 0}),), ("rga-s0", "plain-s0"))


@pytest.fixture
def folder(tmp_path):
    return SweepFolder(tmp_path / "sweep")


def of_step(folder, job, function):
    return folder.path / "jobs" / job / f"{function}.json"


def finish(folder, *jobs, **numbers):
    for job in jobs:
        for step in job.steps:
            folder.write_result(job.name, step, numbers)


def test_a_result_is_kept_with_its_call(folder):
    assert folder.result(ARM, TRAIN) is None
    folder.write_result("rga-s0", EVALUATE, {"AP": 36.5}, seconds=3)
    assert folder.result(ARM, EVALUATE) == {"parameters": {"head": "all"}, "numbers": {"AP": 36.5}, "seconds": 3}
    assert folder.result(OTHER, EVALUATE) is None


@pytest.mark.parametrize(
    ("parameters", "same"),
    [
        ({"lambda0": 7, "seed": 0, "config": "quickstart"}, True),
        ({"config": "quickstart", "lambda0": 7.0, "seed": 0}, True),
        ({"config": "quickstart", "lambda0": 7, "seed": 0, "device": "cpu"}, True),
        ({"config": "quickstart", "lambda0": 3, "seed": 0}, False),
        ({"config": "quickstart", "lambda0": 7, "seed": 0, "epochs": 2}, False),
        ({"config": "quickstart", "seed": 0}, False),
    ],
)
def test_a_result_is_valid_for_the_same_call_alone(folder, parameters, same):
    folder.write_result("rga-s0", TRAIN, {})
    assert (folder.result(ARM, Step("train", parameters)) is not None) == same


def test_a_result_that_names_its_device_is_of_the_same_call(folder):
    """As results were kept at first."""
    of_step(folder, "rga-s0", "evaluate").parent.mkdir(parents=True)
    kept = {"parameters": {"head": "all", "device": "cpu"}, "numbers": {"AP": 1.0}}
    of_step(folder, "rga-s0", "evaluate").write_text(json.dumps(kept))
    assert folder.result(ARM, EVALUATE) == kept
    assert folder.result(ARM, Step("evaluate", {"head": "1:1"})) is None


def test_a_call_is_kept_as_json_has_it():
    step = Step("train", {"ratios": ("1:1", "1:9"), "weights": Path("a.pth"), "device": "cuda"})
    assert call_as_kept(step) == {"ratios": ["1:1", "1:9"], "weights": "a.pth"}


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '{"numbers": {}}'])
def test_a_damaged_result_is_none(folder, text):
    finish(folder, ARM)
    of_step(folder, "rga-s0", "train").write_text(text)
    assert folder.result(ARM, TRAIN) is None
    assert folder.state(ARM).state == "waiting"


def test_a_job_is_finished_where_all_its_steps_are(folder):
    folder.write_result("rga-s0", TRAIN, {})
    assert not folder.is_finished(ARM)
    folder.write_result("rga-s0", EVALUATE, {})
    assert folder.is_finished(ARM)
    folder.forget(ARM)
    assert not folder.is_finished(ARM)
    folder.forget(ARM)  # once more does no harm


@pytest.mark.parametrize("last", ["waiting", "running", "failed", "stopped", "finished"])
def test_a_state_is_what_was_noted_last_but_finished_is_what_the_results_say(folder, last):
    noted = State(last, "train", 3, 10, began=1.5, host="here", pid=7, error="why" if last == "failed" else "")
    folder.write_state("rga-s0", noted)
    assert folder.state(ARM) == (State() if last == "finished" else noted)
    finish(folder, ARM)
    assert folder.state(ARM) == replace(noted, state="finished", error="")


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"finished"', '{"unknown": 1}'])
def test_a_damaged_state_is_that_of_a_job_that_waits(folder, text):
    folder.write_state("rga-s0", State("running"))
    (folder.path / "jobs" / "rga-s0" / "state.json").write_text(text)
    assert folder.state(ARM) == State()


def test_numbers_are_by_arm_and_seed_and_of_the_steps_that_are_done(folder):
    second = Job("rga-s1", "rga", 1, (TRAIN, EVALUATE))
    folder.write_result("rga-s0", TRAIN, {"x": 1.0})
    folder.write_result("rga-s0", EVALUATE, {"AP": 36.5})
    folder.write_result("rga-s1", EVALUATE, {"AP": 37.5})
    assert folder.numbers([ARM, second, OTHER]) == {"rga": {0: {"x": 1.0, "AP": 36.5}, 1: {"AP": 37.5}}}


def test_a_job_has_its_run_once_there_is_a_checkpoint(folder):
    checkpoints = folder.path / "runs" / "rga-s0" / "checkpoints"
    assert not folder.has_run(ARM)
    checkpoints.mkdir(parents=True)
    (checkpoints / ".epoch_1.x2y.pth").touch()  # by a training that was killed
    assert not folder.has_run(ARM)
    (checkpoints / "epoch_1.pth").touch()
    assert folder.has_run(ARM)


def test_the_manifest_tells_all_of_its_jobs(folder):
    finish(folder, OTHER)
    folder.write_state("rga-s0", State("running", "train", 1, 4))
    folder.write_manifest([ARM, OTHER, PAIR], {"target": "table1", "where": Path("x")})
    content = json.loads(folder.manifest.read_text())
    assert (content["format"], content["target"], content["where"]) == (1, "table1", "x")
    arm, other, pair = content["jobs"]
    assert (arm["name"], arm["arm"], arm["seed"], arm["after"]) == ("rga-s0", "rga", 0, [])
    assert (arm["state"], arm["step"], arm["done"], arm["total"]) == ("running", "train", 1, 4)
    assert (arm["run"], arm["log"]) == ("runs/rga-s0", "jobs/rga-s0/log.txt")
    assert [step["done"] for step in arm["steps"]] == [False, False]
    assert (other["state"], [step["done"] for step in other["steps"]]) == ("finished", [True])
    assert (pair["after"], "run" in pair) == (["rga-s0", "plain-s0"], False)
    assert folder.path / arm["log"] == folder.log("rga-s0")


def test_its_calls_are_spelled_for_whoever_reads_them(folder):
    def command():
        folder.write_manifest([ARM], {})
        return [step["command"] for step in json.loads(folder.manifest.read_text())["jobs"][0]["steps"]]

    run = str(folder.path / "runs" / "rga-s0")
    assert command() == [
        f"rgacli.train(config='quickstart', lambda0=7, seed=0, work_dir={run!r})",
        f"rgacli.evaluate(run={run!r}, head='all')",
    ]
    with spelling_for(CommandLine()):
        assert command() == [
            f"rgacli train quickstart --lambda0 7 --seed 0 --work-dir {run}",
            f"rgacli eval {run} --head all",
        ]


def test_jobs_are_read_as_they_were_written(folder):
    assert folder.read_jobs() == []
    folder.write_manifest([ARM, OTHER, PAIR], {})
    assert folder.read_jobs() == [ARM, OTHER, PAIR]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("[]", "is no manifest of this version."),
        ('{"format": 0, "jobs": []}', "is no manifest of this version."),
        ('{"format": 1, "jobs": [{"name": "a"}]}', "is damaged: a job has no 'arm'."),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(folder, text, told):
    folder.path.mkdir()
    folder.manifest.write_text(text)
    with pytest.raises(DataError) as refused:
        folder.read_jobs()
    assert refused.value.message.startswith(f"{folder.manifest} {told}")


def test_targets_that_share_a_folder_share_their_jobs(folder):
    folder.write_manifest([ARM, OTHER], {})
    bins = Step("gt_bins", {"bootstrap": 0})
    asked = Job("rga-s0", "rga", 0, (TRAIN, bins))
    assert folder.merged([asked, PAIR]) == [Job("rga-s0", "rga", 0, (TRAIN, EVALUATE, bins)), OTHER, PAIR]


def test_a_job_that_goes_on_on_another_device_is_the_same(folder):
    folder.write_manifest([ARM], {})
    step = Step("train", {**TRAIN.parameters, "device": "cpu"})
    assert folder.merged([replace(ARM, steps=(step,))]) == [replace(ARM, steps=(step, EVALUATE))]


def test_a_folder_of_another_sweep_is_refused(folder):
    folder.write_manifest([ARM], {})
    step = Step("train", {**TRAIN.parameters, "lambda0": 3})
    with spelling_for(CommandLine()), pytest.raises(UsageError) as refused:
        folder.merged([replace(ARM, steps=(step,))])
    assert spelled(refused.value.message, CommandLine()) == (
        f"{folder.path} holds another sweep: its job rga-s0 is rgacli train quickstart --lambda0 7 --seed 0, and here "
        "it would be rgacli train quickstart --lambda0 3 --seed 0. Choose another --out."
    )


def test_a_training_that_starts_from_another_is_another(folder):
    started = replace(ARM, after=("plain-s0",))
    folder.write_manifest([OTHER, started], {})
    assert folder.merged([OTHER, started]) == [OTHER, started]
    with pytest.raises(UsageError) as refused:
        folder.merged([ARM])
    assert spelled(refused.value.message) == (
        f"{folder.path} holds another sweep: its job rga-s0 starts from plain-s0, and here from no other. Choose "
        "another out."
    )


def test_a_combination_of_other_runs_is_made_anew(folder):
    folder.write_manifest([ARM, OTHER, PAIR], {})
    finish(folder, ARM, OTHER, PAIR)
    assert folder.merged([PAIR]) == [ARM, OTHER, PAIR]
    assert folder.is_finished(PAIR)
    reversed_ = replace(PAIR, after=PAIR.after[::-1])
    assert folder.merged([reversed_]) == [ARM, OTHER, reversed_]
    assert not folder.is_finished(reversed_)
    assert folder.is_finished(ARM)


def test_a_sweep_that_another_process_runs_is_not_run_here(folder):
    folder.path.mkdir()
    code = (
        "import fcntl, sys\n"
        f"file = open({str(folder.path / '.lock')!r}, 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError) as refused, folder.held():
            pass
        other.stdin.close()
    assert refused.value.message == f"the sweep in {folder.path} is being run by another process."
    with folder.held():
        assert (folder.path / ".lock").is_file()


def test_where_a_disk_knows_no_locks_a_sweep_runs_all_the_same(folder, monkeypatch):
    def refuse(file, how):
        raise OSError(os.strerror(95))

    monkeypatch.setattr("fcntl.flock", refuse)
    with folder.held():
        assert folder.path.is_dir()
