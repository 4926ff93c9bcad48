import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.main import get_command

from rgacli.api.reproduce import reproduce
from rgacli.cli.app import app
from rgacli.cli.spelling import CommandLine
from rgacli.errors import RunFailed, UsageError
from rgacli.reproduction.folder import State, SweepFolder
from rgacli.reproduction.stopping import Stopped
from rgacli.wording import spelling_for
from tests.cli.commands import snapshot
from tests.support.sweeping import JOBS, SWEEP, TRAINED, Fake, finish, jobs, write_sweep

OUT = Path("out")


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Calls `reproduce` for the small sweep in an empty folder, by an executor that makes up results."""
    monkeypatch.chdir(tmp_path)
    target = str(write_sweep(Path("mine.yaml")))

    def call(fake=None, **options):
        fake = fake or Fake(OUT)
        monkeypatch.setattr("rgacli.api.reproduce._executor", lambda *_: fake)
        return reproduce(target, **{"out": OUT, "device": "cpu", **options})

    return call


def manifest():
    return json.loads((OUT / "manifest.json").read_text())


def states(found):
    return {job.name: job.state for job in found.jobs}


# --- running


def test_a_sweep_ends_in_tables_beside_the_papers_numbers(sweep):
    found = sweep()
    assert [job.name for job in found.jobs] == JOBS
    assert found.is_whole
    main, pair = found.tables
    cell = main.rows[0].cells["AP"]
    assert (cell.mean, cell.paper) == (pytest.approx(30.05), 36.1)
    (claim,) = main.claims
    assert (claim.mean, claim.verdict) == (pytest.approx(2.0), "holds")
    assert pair.rows[0].cells["AP"].mean == pytest.approx(33.05)
    assert {path.name for path in found.files} >= {"main.csv", "main.tex", "pair.csv", "tables.json"}
    assert all(path.is_file() for path in found.files)


def test_what_jobs_would_trip_over_is_done_before_they_begin(sweep, monkeypatch):
    fake, begun = Fake(OUT), []
    monkeypatch.setattr("rgacli.api.reproduce.before_children", lambda: begun.append(list(fake.ran)))
    sweep(fake)
    assert begun == [[]]
    assert len(fake.ran) == len(JOBS)


def test_the_manifest_says_of_each_job_its_calls_state_run_and_log(sweep):
    sweep()
    content = manifest()
    assert [job["name"] for job in content["jobs"]] == JOBS
    assert {job["state"] for job in content["jobs"]} == {"finished"}
    plain, _, both = content["jobs"][:3]
    assert plain["run"] == "runs/plain-s0"
    assert plain["log"] == "jobs/plain-s0/log.txt"
    assert [step["function"] for step in plain["steps"]] == ["train", "evaluate"]
    assert "run" not in both
    assert both["after"] == ["plain-s0", "prm-s0"]
    assert content["expected_seconds"] == 0


def test_what_is_finished_is_not_run_again(sweep):
    sweep()
    again = Fake(OUT)
    assert sweep(again).is_whole
    assert again.ran == []


def test_a_failed_job_does_not_stop_the_rest_and_alone_is_tried_again(sweep):
    found = sweep(Fake(OUT, failing=["prm-s0"]))
    assert states(found) == dict.fromkeys(JOBS, "finished") | {"prm-s0": "failed", "both-s0": "failed"}
    prm, both = found.failed
    assert prm.error == "the loss is not finite."
    assert both.error == "it needs prm-s0, which is not finished."
    assert found.tables[0].claims[0].verdict == "not shown"  # of one seed
    again = Fake(OUT)
    assert sweep(again).is_whole
    assert again.ran == ["prm-s0", "both-s0"]


def test_a_manifest_says_how_long_the_rest_will_take_by_what_others_took(sweep):
    with pytest.raises(Stopped):
        sweep(Fake(OUT, stopping="plain-s1"))
    for path in OUT.glob("jobs/*/*.json"):
        if path.name != "state.json":
            path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 30.0}))
    expected = []

    class Looking(Fake):
        def run(self, tasks, watch):
            watch()
            expected.append(manifest()["expected_seconds"])
            return super().run(tasks, watch)

    sweep(Looking(OUT))
    assert expected == [3 * (60 + 60 + 30) / 3]  # three jobs as the three that are finished: two steps, two, and one


def test_a_job_that_could_note_nothing_failed_as_its_process_ended(sweep):
    found = sweep(Fake(OUT, dying={"both-s1": "it was killed (SIGKILL, perhaps for want of memory)."}))
    (both,) = found.failed
    assert both.error == "it was killed (SIGKILL, perhaps for want of memory)."
    assert manifest()["jobs"][-1]["state"] == "failed"


def test_ctrl_c_stops_what_runs_and_leaves_the_rest_waiting(sweep):
    with pytest.raises(Stopped, match="the same call goes on with the jobs in out") as stop:
        sweep(Fake(OUT, stopping="plain-s1"))
    assert stop.value.exit_code == 130
    noted = {job["name"]: job["state"] for job in manifest()["jobs"]}
    done = dict.fromkeys(JOBS[:3], "finished")
    assert noted == {**done, "plain-s1": "stopped", "prm-s1": "waiting", "both-s1": "waiting"}
    assert sweep().is_whole


def test_an_executor_that_cannot_run_anything_leaves_all_waiting(sweep):
    class None_(Fake):
        def run(self, tasks, watch):
            raise RunFailed("there is no cluster.")

    with pytest.raises(RunFailed, match="there is no cluster"):
        sweep(None_(OUT))
    assert {job["state"] for job in manifest()["jobs"]} == {"waiting"}


def test_a_second_process_is_refused_the_folder(sweep):
    with SweepFolder(OUT).held(), pytest.raises(UsageError, match=r"sweep in out is being run by process \d+ on "):
        sweep()


def test_what_another_process_works_on_stays_as_that_notes_it(sweep):
    folder = SweepFolder(OUT)
    noted = State("running", "train", 3, 8, host="other")
    folder.write_state("both-s1", noted)
    with folder.job_held("both-s1") as own:
        assert own
        found = sweep(Fake(OUT, dying={"both-s1": "it ended with exit code 75."}))
    assert states(found)["both-s1"] == "running"
    assert not found.failed
    assert not found.is_whole
    assert folder.state(jobs()[-1]) == noted


def test_progress_is_of_the_whole_sweep(sweep, monkeypatch):
    monkeypatch.setattr("rgacli.reproduction.watch._SECONDS_BETWEEN_LOOKS", 0)
    reports = []
    sweep(Fake(OUT, failing=["prm-s0"]), progress=lambda *report: reports.append(report))
    assert [(task, done, total) for task, done, total, _ in reports][-1] == ("sweep, %", 100, 100)
    assert reports[0][1] == 16
    assert reports[-1][3] == "4 of 6 jobs  2 failed"


# --- running nothing


def test_collecting_runs_nothing_and_has_the_tables_of_what_is_finished(sweep):
    own = Fake(OUT)
    for job in jobs()[:2]:
        finish(SweepFolder(OUT), job)
    found = sweep(own, collect=True)
    assert own.ran == []
    assert not found.is_whole
    assert found.tables[0].rows[0].cells["AP"].mean == pytest.approx(30.0)
    assert (OUT / "tables/main.csv").is_file()


def test_collecting_nothing_writes_nothing(sweep, tmp_path):
    before = snapshot(tmp_path)
    assert sweep(collect=True).files == ()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("options", [{}, {"record": Path("r.json")}])
def test_a_dry_run_writes_nothing(sweep, tmp_path, options):
    before = snapshot(tmp_path)
    found = sweep(dry_run=True, **options)
    assert states(found) == dict.fromkeys(JOBS, "waiting")
    assert snapshot(tmp_path) == before


def test_a_dry_run_has_the_scripts_for_slurm(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    target = write_sweep(Path("mine.yaml"))
    before = snapshot(tmp_path)
    options = dict(executor="slurm", jobs=2, gpus_per_job=2, slurm=["partition=gpu", "time=60"], dry_run=True)
    first, second = reproduce(str(target), out=OUT, **options).scripts
    for line in ("--partition=gpu", "--time=60", "--array=0-3%2", "--gpus-per-node=2"):
        assert f"#SBATCH {line}\n" in first
    assert "--dependency" not in first
    assert "#SBATCH --array=0-1%2\n" in second
    assert "#SBATCH --dependency=afterany:" in second
    assert f"-m rgacli.api.job {tmp_path / OUT} prm-s1 2" in first
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("target", ["all", "mine.yaml"])
def test_the_commands_of_a_plan_are_those_of_the_command_line(target, tmp_path, monkeypatch):
    """Each is parsed by the command that it names, to the parameters that the job calls the function with."""
    monkeypatch.chdir(tmp_path)
    write_sweep(Path("mine.yaml"))
    with spelling_for(CommandLine()):
        found = reproduce(target, dry_run=True, seeds=1)
    assert len(found.jobs) > 2
    root = get_command(app)
    for line in {command for job in found.jobs for command in job.commands}:
        program, *words = shlex.split(line)
        command, name = root, []
        while hasattr(command, "commands"):
            name.append(words.pop(0))
            command = command.commands[name[-1]]
        assert program == "rgacli"
        parsed = command.make_context(" ".join(name), words).params
        assert not parsed.get("name")
        if name == ["train"]:
            assert parsed["work_dir"].is_relative_to(found.folder / "runs")
            assert parsed["seed"] == 0
        else:
            runs = parsed["runs"] if "runs" in parsed else [parsed["run"]]
            assert all(Path(run).is_relative_to(found.folder / "runs") for run in runs)


# --- records


def test_a_record_stands_in_for_the_jobs_that_it_has(sweep):
    record = Path("record.json")
    found = sweep(record=record)
    elsewhere = Fake(Path("elsewhere"))
    again = sweep(elsewhere, record=record, out=Path("elsewhere"))
    assert elsewhere.ran == []
    assert again.is_whole
    assert again.tables == found.tables


def test_a_record_alone_has_its_tables_collected(sweep):
    record = Path("record.json")
    found = sweep(record=record)
    assert sweep(record=record, out=Path("elsewhere"), collect=True).tables == found.tables


def test_a_record_keeps_what_it_has_of_other_tables_and_seeds(sweep):
    record = Path("record.json")
    found = sweep(record=record)
    whole = json.loads(record.read_text())
    part = sweep(record=record, out=Path("elsewhere"), collect=True, table="pair", seeds=1)
    assert [(table.name, table.rows[0].cells["AP"].seeds) for table in part.tables] == [("pair", (0,))]
    assert json.loads(record.read_text()) == whole
    assert [len(table.rows[0].cells["AP"].seeds) for table in found.tables] == [2, 2]


def test_a_record_of_other_trainings_is_left_alone(sweep):
    record = Path("record.json")
    sweep(record=record)
    before = record.read_bytes()
    with pytest.raises(UsageError, match=r"record record\.json is of other trainings .*'epochs': 7.*another file"):
        sweep(record=record, epochs=7)
    assert record.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, ("epochs=3", "data='theirs'")), ({"epochs": 7, "data": Path("mine")}, ("epochs=7", "data='mine'"))],
)
def test_what_is_given_is_of_all_trainings_whatever_the_file_says(sweep, given, kept):
    arms = {arm: {**own, "epochs": 3, "data": "theirs"} for arm, own in SWEEP["arms"].items()}
    write_sweep(Path("mine.yaml"), arms=arms)
    trainings = [job.commands[0] for job in sweep(dry_run=True, **given).jobs if job.run]
    assert len(trainings) == 4
    assert all(word in call for call in trainings for word in kept), trainings[0]


def test_arms_with_epochs_of_their_own_keep_the_proportion(sweep):
    arms = {"plain": {"ratios": "1:3"}, "prm": {"ratios": "1:1,1:9", "epochs": 20}}

    def lengths(common, **given):
        write_sweep(Path("mine.yaml"), arms=arms, train=common)
        return [re.search(r"epochs=(\d+)", job.commands[0])[1] for job in sweep(dry_run=True, **given).jobs[:2]]

    assert lengths({"config": "quickstart", "epochs": 5}) == ["5", "20"]
    assert lengths({"config": "quickstart", "epochs": 5}, epochs=2) == ["2", "8"]
    assert lengths({"config": "quickstart"}, epochs=2) == ["2", "4"]  # which has 10 epochs
    arms["prm"]["epochs"] = 0  # as its weights are
    assert lengths({"config": "quickstart", "epochs": 5}, epochs=2) == ["2", "0"]
    arms["plain"]["epochs"] = 20
    assert lengths({"config": "quickstart"}, epochs=2) == ["2", "0"]


def test_a_run_that_is_gone_is_trained_again_if_it_is_needed(sweep, caplog):
    sweep()
    for name in ("plain-s0", "prm-s0"):
        shutil.rmtree(OUT / "runs" / name)
    again = Fake(OUT)
    assert sweep(again).is_whole
    assert again.ran == []  # nothing needs them
    (OUT / "jobs/both-s0/ensemble.json").unlink()
    with caplog.at_level("INFO", "rgacli"):
        assert sweep(again).is_whole
    assert again.ran == JOBS[:3]
    assert "the runs of plain-s0, prm-s0 are gone, and needed: they are trained again" in caplog.messages


def test_how_many_processes_share_a_training_is_part_of_it(sweep):
    record = Path("record.json")
    trained, evaluated = sweep(gpus_per_job=2, record=record).jobs[0].commands
    assert "gpus=2" in trained
    assert "gpus=2" in evaluated
    assert manifest()["processes"] == json.loads(record.read_text())["processes"] == 2
    with pytest.raises(UsageError, match="out is of trainings by 2 processes each"):
        sweep()
    with pytest.raises(UsageError, match=r"record.json is of trainings by 2 processes each"):
        sweep(gpus_per_job=1, record=record, out=Path("elsewhere"))
    assert "gpus=2" in sweep(collect=True).jobs[0].commands[0]


def test_a_run_that_is_not_here_is_trained_again_for_those_that_need_it(sweep):
    record = Path("record.json")
    sweep(Fake(OUT, failing=["both-s1"]), record=record)
    elsewhere = Fake(Path("elsewhere"))
    assert sweep(elsewhere, record=record, out=Path("elsewhere")).is_whole
    assert elsewhere.ran == ["plain-s1", "prm-s1", "both-s1"]


def test_a_record_is_kept_of_a_sweep_that_was_stopped(sweep):
    with pytest.raises(Stopped):
        sweep(Fake(OUT, stopping="prm-s1"), record=Path("record.json"))
    content = json.loads(Path("record.json").read_text())
    assert set(content["jobs"]) == {*JOBS[:3], "plain-s1"}
    assert content["jobs"]["plain-s1"]["evaluate"]["numbers"]["AP"] == 30.1


# --- what cannot be run


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("table9", {}, "target 'table9' is none of table1, "),
        ("no.yaml", {}, "there is no sweep no.yaml"),
        ("table4", {"table": "main"}, "table chooses tables of a file; table4 is one itself"),
        ("mine.yaml", {"table": "minor"}, "there is no table 'minor', but main, pair"),
        ("mine.yaml", {"scale": "small"}, "scale=small is of the paper's tables and figures"),
        ("mine.yaml", {"address": "auto"}, "address=auto goes with executor=ray."),
        ("mine.yaml", {"slurm": ["partition=gpu"]}, "slurm=partition=gpu goes with executor=slurm."),
        ("mine.yaml", {"slurm": ["partitions=gpu"], "executor": "slurm"}, "slurm=partitions: submitit knows account, "),
        ("mine.yaml", {"slurm": ["partition"], "executor": "slurm"}, "slurm=partition is not of the form KEY=VALUE"),
        ("mine.yaml", {"gpus_per_job": 2, "device": "auto"}, "gpus_per_job=2: torch sees no GPUs"),
        ("mine.yaml", {"gpus_per_job": -1}, "gpus_per_job=-1: it must be at least 0"),
        ("mine.yaml", {"jobs": 0}, "jobs=0: it must be at least 1"),
        ("mine.yaml", {"seeds": 0}, "seeds=0: it must be at least 1"),
        ("mine.yaml", {"epochs": 0}, "epochs=0: it must be at least 1"),
        ("mine.yaml", {"collect": True, "dry_run": True}, "collect=True and dry_run=True do not go together"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_is_written(target, options, words, tmp_path, monkeypatch):
    if options.get("executor") == "slurm":
        pytest.importorskip("submitit")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.chdir(tmp_path)
    write_sweep(Path("mine.yaml"))
    before = snapshot(tmp_path)
    with pytest.raises(UsageError) as error:
        reproduce(target, **options)
    assert words in str(error.value)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"lambda0": -3}, "arm 'plain': lambda0=-3"),
        ({"ratios": "1:x"}, "arm 'plain': .*1:x"),
        ({"config": "nowhere"}, "arm 'plain': config 'nowhere' is neither a file nor"),
        ({"settings": ["train_cgf.val_begin=1"]}, "arm 'plain': settings=train_cgf.val_begin"),
    ],
)
def test_what_an_arm_cannot_be_trained_by_is_told_before_any_is(own, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sweep(Path("mine.yaml"), arms={**SWEEP["arms"], "plain": own})
    before = snapshot(tmp_path)
    for options in ({}, {"dry_run": True}):
        with pytest.raises(UsageError, match=words):
            reproduce("mine.yaml", **options)
    assert snapshot(tmp_path) == before


def test_an_arm_that_no_table_has_is_told_of(sweep, caplog):
    caplog.set_level("INFO", "rgacli")
    write_sweep(Path("mine.yaml"), arms={**SWEEP["arms"], "left": {"ratios": "1:1"}})
    sweep(dry_run=True)
    assert caplog.messages == ["left: in no table, and not trained"]


@pytest.mark.parametrize(
    "other", [{"train": {"epoch": 1}}, {"arms": {"plain": {"seed": 1}}, "combined": {}, "tables": {}}]
)
def test_what_is_no_parameter_of_a_training_is_named(other, tmp_path):
    path = write_sweep(tmp_path / "mine.yaml", **other)
    with pytest.raises(UsageError, match=r"'(epoch|seed)' is none of accumulate, "):
        reproduce(str(path), dry_run=True)


def test_another_sweep_in_the_folder_is_refused(sweep):
    sweep()
    write_sweep(Path("mine.yaml"), train={"config": "quickstart", "epochs": 7})
    with pytest.raises(UsageError, match="out holds another sweep: its job plain-s0 is "):
        sweep()


def test_targets_that_share_a_folder_share_their_trainings(sweep):
    first, second = Fake(OUT), Fake(OUT)
    sweep(first, table="main")
    sweep(second, table=["pair"])
    assert first.ran == TRAINED
    assert second.ran == ["both-s0", "both-s1"]
