import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import rgacli
from rgacli.api import job as api
from rgacli.errors import RunFailed, UsageError
from rgacli.reproduction import stopping
from rgacli.reproduction.folder import State, SweepFolder
from tests.support.run_folders import write_run
from tests.support.sweeping import finish, jobs

PLAIN, PRM, BOTH = jobs()[:3]


class Calls(list):
    """Stands for the functions of the package: keeps what they are called with, and does what `then` says."""

    def __init__(self):
        self.then = lambda function, parameters: None

    def train(
        self,
        config=None,
        *,
        lambda0=None,
        ratios=None,
        epochs=None,
        seed=None,
        device="auto",
        work_dir: "Path | None" = None,
        resume=False,
        settings=None,
        progress=None,
    ):
        given = dict(config=config, epochs=epochs, seed=seed, device=device, work_dir=work_dir, resume=resume or None)
        self._called("train", given, progress)

    def evaluate(self, run=None, *, head="last", device="auto"):
        self._called("evaluate", {"run": run, "head": head, "device": device})
        return SimpleNamespace(heads={"1:3": {"AP": 0.25, "AP50": 0.5}})

    def _called(self, function, parameters, progress=None):
        self.append((function, {key: value for key, value in parameters.items() if value is not None}))
        if progress:
            progress("training", 3, 8, "epoch 1")
        self.then(function, parameters)

    @property
    def names(self):
        return [name for name, _ in self]


@pytest.fixture
def folder(tmp_path):
    """A sweep's folder with its manifest."""
    folder = SweepFolder(tmp_path / "out")
    folder.write_manifest(jobs(), {})
    return folder


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """Has a job call stand-ins, and wait for nobody."""
    calls = Calls()
    for name in ("train", "evaluate"):
        monkeypatch.setattr(rgacli, name, getattr(calls, name), raising=False)
    monkeypatch.setattr(api, "_PATIENCE", 0)
    monkeypatch.setattr(api, "_SECONDS_BETWEEN_NOTES", 0)
    return calls


def work(folder, job, **options):
    return api.work(folder.path, job.name, **options)


def test_a_job_takes_its_steps_and_keeps_what_they_found(folder, calls):
    assert work(folder, PLAIN) == 0
    (_, trained), (_, evaluated) = calls
    run = folder.path / "runs/plain-s0"
    assert (trained["work_dir"], trained["seed"], trained["device"]) == (run, 0, "cpu")
    assert evaluated == {"run": str(run), "head": "all", "device": "cpu"}
    result = folder.result(PLAIN, PLAIN.steps[1])
    assert result["numbers"] == {"AP": 25.0, "1:3/AP": 25.0, "AP50": 50.0, "1:3/AP50": 50.0}
    assert {"seconds", "versions", "machine"} <= result.keys()
    state = folder.state(PLAIN)
    assert (state.state, state.pid) == ("finished", os.getpid())
    assert state.began <= state.ended


def test_a_finished_job_is_left_alone(folder, calls):
    work(folder, PLAIN)
    before = (folder.path / "jobs/plain-s0/state.json").read_bytes()
    assert work(folder, PLAIN) == 0
    assert calls.names == ["train", "evaluate"]
    assert (folder.path / "jobs/plain-s0/state.json").read_bytes() == before


def test_what_is_done_of_a_job_is_not_done_again(folder, calls):
    folder.write_result(PLAIN.name, PLAIN.steps[0], {})
    assert work(folder, PLAIN) == 0
    assert calls.names == ["evaluate"]


def test_while_it_works_its_state_says_how_far_it_is(folder, calls):
    seen = []
    calls.then = lambda function, parameters: seen.append(folder.state(PLAIN))
    work(folder, PLAIN)
    assert [(state.state, state.step, state.done, state.total) for state in seen] == [
        ("running", "train", 3, 8),
        ("running", "evaluate", 0, 0),
    ]


@pytest.mark.parametrize(
    ("error", "code", "state", "text"),
    [
        (RunFailed("the loss is not finite."), 1, "failed", "the loss is not finite."),
        (UsageError("there is no such config."), 2, "failed", "there is no such config."),
        (MemoryError(), 1, "failed", "out of memory: lower batch_size, the image size or the number of ratios."),
        (KeyboardInterrupt(), 130, "stopped", "stopped by a signal."),
        (stopping.Stopped("stopped by SIGTERM after iteration 3."), 130, "stopped", "stopped by SIGTERM after"),
    ],
)
def test_how_it_ends_early_is_noted(folder, calls, error, code, state, text, capsys):
    def fail(function, parameters):
        raise error

    calls.then = fail
    assert work(folder, PLAIN) == code
    noted = folder.state(PLAIN)
    assert (noted.state, noted.step) == (state, "train")
    assert noted.error.startswith(text)
    assert noted.ended
    assert "Traceback" in capsys.readouterr().err  # goes into the job's log
    assert not folder.is_job_held(PLAIN.name)


def test_a_job_names_the_one_that_it_waits_for_in_vain(folder, calls):
    finish(folder, PLAIN)
    assert work(folder, BOTH) == 1
    assert folder.state(BOTH).error == "it needs prm-s0, which is not finished."
    assert calls == []


def test_one_that_another_process_works_on_is_left_to_it(folder, calls):
    noted = State("running", "train", 3, 8, host="other", pid=1)
    folder.write_state(PLAIN.name, noted)
    with folder.job_held(PLAIN.name):
        assert work(folder, PLAIN) == api.HELD
    assert calls == []
    assert folder.state(PLAIN) == noted


def test_a_second_process_waits_for_one_that_ends(folder, calls, monkeypatch):
    monkeypatch.setattr(api, "_PATIENCE", 60)
    holding = folder.job_held(PLAIN.name)
    holding.__enter__()
    monkeypatch.setattr("rgacli.reproduction.folder.time.sleep", lambda _: holding.__exit__(None, None, None))
    assert work(folder, PLAIN) == 0
    assert calls.names == ["train", "evaluate"]


def test_a_training_that_was_cut_short_goes_on(folder, calls):
    run = write_run(folder.path / "runs/plain-s0", [0.5])
    assert work(folder, PLAIN) == 0
    assert calls[0][1] == {"resume": True, "work_dir": run, "device": "cpu"}


def test_the_seconds_of_a_training_are_those_of_all_who_worked_on_it(folder, calls):
    folder.write_state(PLAIN.name, State("stopped", "train", 3, 8, seconds=100.0))
    write_run(folder.path / "runs/plain-s0", [0.5])
    seen = []
    calls.then = lambda function, parameters: seen.append(folder.state(PLAIN).seconds)
    work(folder, PLAIN)
    assert seen[0] >= 100
    assert 100 <= folder.result(PLAIN, PLAIN.steps[0])["seconds"] < 160
    assert folder.result(PLAIN, PLAIN.steps[1])["seconds"] < 60


def test_drawn_data_are_there_before_a_job_that_needs_runs_on_them(tmp_path, calls, monkeypatch):
    drawn = []
    monkeypatch.setattr(api, "embedded_dataset", lambda **own: drawn.append((own, len(calls))))
    folder = SweepFolder(tmp_path / "out")
    own = jobs(train={"config": "quickstart", "data": "embedded"})
    folder.write_manifest(own, {})
    folder.write_result(PLAIN.name, own[0].steps[0], {})
    assert work(folder, PLAIN) == 0
    assert calls.names == ["evaluate"]
    assert drawn == [({"test": 400}, 0)]


def test_a_training_that_came_to_no_checkpoint_begins_anew(folder, calls):
    run = write_run(folder.path / "runs/plain-s0")
    there = []
    calls.then = lambda function, parameters: there.append(run.exists())
    assert work(folder, PLAIN) == 0
    assert calls[0][1]["epochs"] == 1
    assert "resume" not in calls[0][1]
    assert there[0] is False


def test_a_signal_that_was_lost_on_the_way_counts_at_the_next_report(folder, calls, monkeypatch):
    monkeypatch.setattr(stopping, "_asked", True)
    assert work(folder, PLAIN) == 130
    assert calls == []
    assert folder.state(PLAIN).state == "stopped"


def test_a_job_that_the_manifest_has_not_is_refused(folder):
    with pytest.raises(UsageError, match="has no job 'other'"):
        api.work(folder.path, "other")


def test_the_process_of_a_job_is_called_with_folder_job_and_number(folder, calls, monkeypatch):
    monkeypatch.setattr(api, "take_signals", lambda: None)
    monkeypatch.setattr(api, "stop_with_parent", lambda: None)
    assert api.main([str(folder.path), "prm-s0", "1"]) == 0
    assert json.loads((folder.path / "jobs/prm-s0/state.json").read_text())["state"] == "finished"
