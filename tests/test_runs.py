import errno
import fcntl
import os
from pathlib import Path

import pytest

from rgacli import runs
from rgacli.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at(path, seconds):
    """Makes a file that was written at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (seconds, seconds))
    return path


def begin(path, seconds=0):
    return at(Path(path) / "config.py", seconds).parent


def make_and_fail(name, *files):
    with runs.new_run(name) as run:
        for file in files:
            at(run.path / file, 0)
        raise RuntimeError("it failed")


# Making one


def test_a_new_run_is_an_empty_folder_under_runs(folder):
    with runs.new_run("mine") as run:
        assert run.path == Path("runs/mine")
        assert os.listdir(run.path) == [".lock"]
        assert run.is_held()
    assert run.path.is_dir()
    assert not run.is_held()


@pytest.mark.parametrize("name", ["a", "a-b_c.d+1", "retinanet.2", "Ölbild"])
def test_plain_names_are_taken(name):
    with runs.new_run(name) as run:
        assert run.name == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "...", ".hidden", "-x", "a/b", "/a", "a b", "a ", "a\n", "a\0", "~", "a\\b", "$x"]
)
def test_names_that_are_not_plain_are_refused(folder, name):
    with pytest.raises(UsageError, match="not a plain name"), runs.new_run(name):
        pass
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 201, "\u00e4" * 101])
def test_names_that_no_file_system_has_room_for_are_refused(folder, name):
    with pytest.raises(UsageError, match=r"name=.*… is too long: 200 bytes"), runs.new_run(name):
        pass
    assert list(folder.iterdir()) == []


def test_a_taken_name_is_refused_and_what_lies_there_left_alone():
    begin("runs/mine")
    (Path("runs/mine/checkpoints")).mkdir()
    (Path("runs/mine/checkpoints/epoch_1.pth")).touch()
    with pytest.raises(UsageError, match=r"runs/mine exists: choose another name, or go on with it by resume=True"):
        make_and_fail("mine")
    assert runs.find_run("mine").config.is_file()


def test_of_two_that_begin_one_of_a_name_at_once_one_has_it(monkeypatch):
    """The other has seen that there is none, and must not remove it as its own."""
    with runs.new_run("mine") as run:
        at(run.config, 0)
        monkeypatch.setattr(runs.os.path, "lexists", lambda path: False)
        monkeypatch.setattr(Path, "is_dir", lambda path: False)
        with pytest.raises(UsageError, match="run runs/mine exists"):
            make_and_fail("mine")
        assert run.config.is_file()


@pytest.mark.parametrize("left", [(), ("config.py", "logs/1/1.log")])
def test_a_run_that_fails_before_it_begins_leaves_nothing(folder, left):
    with pytest.raises(RuntimeError):
        make_and_fail("mine", *left)
    assert list(folder.iterdir()) == []


def test_a_run_that_fails_before_it_begins_leaves_the_others():
    begin("runs/other")
    with pytest.raises(RuntimeError):
        make_and_fail("mine")
    assert os.listdir("runs") == ["other"]


@pytest.mark.parametrize("made", ["metrics.jsonl", "checkpoints/epoch_1.pth", "checkpoints/iter_7.pth"])
def test_a_run_that_fails_later_keeps_what_it_made(made):
    with pytest.raises(RuntimeError):
        make_and_fail("mine", "config.py", made)
    assert (Path("runs/mine") / made).is_file()


def make_and_fail_in(folder, *files):
    with runs.new_run(work_dir=Path(folder)) as run:
        for file in files:
            at(run.path / file, 0)
        raise RuntimeError("it failed")


@pytest.mark.parametrize("work_dir", ["out/of the way", "runs/mine"])
def test_a_run_may_lie_in_a_folder_of_its_own(work_dir):
    with runs.new_run(work_dir=Path(work_dir)) as run:
        assert run == runs.named("", Path(work_dir))
        assert run.path == Path(work_dir)
    assert Path(work_dir).is_dir()


def test_a_folder_that_is_there_is_taken_where_it_holds_no_run():
    at(Path("out/notes.txt"), 0)
    with runs.new_run(work_dir=Path("out")) as run:
        assert run.name == "out"


@pytest.mark.parametrize("part", ["config.py", "checkpoints/epoch_1.pth", "figures/a.png"])
def test_a_folder_with_a_part_of_a_run_is_refused(part):
    at(Path("out") / part, 0)
    name = part.partition("/")[0]
    with pytest.raises(UsageError, match=rf"out/{name} exists: choose another work_dir, or"):
        make_and_fail_in("out", "metrics.jsonl")
    assert not Path("out/metrics.jsonl").exists()


def test_a_file_is_no_folder_for_a_run():
    at(Path("out"), 0)
    with pytest.raises(UsageError, match="run out exists"):
        make_and_fail_in("out")


def test_a_run_that_fails_before_it_begins_takes_nothing_with_it_that_was_there():
    at(Path("out/notes.txt"), 0)
    for folder in ("out", "new"):
        with pytest.raises(RuntimeError):
            make_and_fail_in(folder, "config.py", "logs/1/1.log")
    assert os.listdir(".") == ["out"]
    assert os.listdir("out") == ["notes.txt"]


# Training one


def test_a_run_is_held_by_one_process_for_the_length_of_a_block():
    run, same = runs.Run(begin("runs/mine")), runs.Run(Path("runs/mine"))
    assert not same.is_held()
    with run.held():
        assert same.is_held()
        with pytest.raises(UsageError, match=f"runs/mine is being trained by process {os.getpid()} on "), same.held():
            pass
        assert same.is_held()
    assert not same.is_held()


def test_a_run_that_fails_is_held_no_longer():
    run = runs.Run(begin("runs/mine"))
    with pytest.raises(RuntimeError), run.held():
        raise RuntimeError("it failed")
    assert not run.is_held()


def test_where_the_file_system_knows_no_locks_a_run_is_trained_all_the_same(monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    run = runs.Run(begin("runs/mine"))
    with run.held():
        assert run.is_held()  # by its note
    assert not run.is_held()


# Finding one


def test_a_run_is_found_by_its_name_and_by_its_path(tmp_path):
    begin("runs/mine")
    begin("elsewhere/other")
    assert runs.find_run("mine").path == Path("runs/mine")
    assert runs.find_run("runs/mine").name == "mine"
    assert runs.find_run("elsewhere/other").path == Path("elsewhere/other")
    assert runs.find_run(str(tmp_path / "elsewhere/other")).name == "other"


def test_a_run_in_a_folder_of_its_own_is_found_there_and_nowhere_else():
    begin("elsewhere/mine")
    begin("runs/other")
    assert runs.find_run(None, Path("elsewhere/mine")).path == Path("elsewhere/mine")
    with pytest.raises(UsageError, match=r"work_dir=other: no run lies there \(other/config.py does not exist\)"):
        runs.find_run(None, Path("other"))


def test_an_empty_name_is_no_run():
    begin(".")
    begin("runs")
    with pytest.raises(UsageError, match="no run ''"):
        runs.find_run("")


def test_the_folder_one_is_in_has_its_name(monkeypatch, folder):
    begin("elsewhere/mine")
    monkeypatch.chdir("elsewhere/mine")
    assert runs.find_run(".").name == "mine"


def test_a_runs_handle_finds_it_again():
    for path in ("runs/mine", "elsewhere/mine"):
        begin(path)
        assert runs.find_run(runs.find_run(path).handle).path == Path(path)
    assert runs.find_run("runs/mine").handle == "mine"


def test_the_latest_run_is_the_one_begun_last():
    for name, seconds in (("first", 1), ("third", 3), ("second", 2)):
        begin(f"runs/{name}", seconds)
    at(Path("runs/first/checkpoints/epoch_9.pth"), 9)
    assert runs.find_run(None).name == "third"
    assert [run.name for run in runs.all_runs()] == ["first", "second", "third"]


def test_a_folder_without_a_config_is_no_run():
    Path("runs/empty").mkdir(parents=True)
    assert runs.all_runs() == []


def test_what_a_killed_export_left_half_written_is_no_run():
    begin("runs/mine", 1)
    begin("runs/.x2y", 2)  # files.replacing_files_in's
    assert runs.latest_run().name == "mine"


def test_a_name_is_free_whose_training_was_killed_before_it_had_a_config():
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/.config.x2y.py").touch()
    with runs.new_run("mine") as run:
        begin(run.path)
    with pytest.raises(UsageError, match="run runs/mine exists"), runs.new_run("mine"):
        pass


@pytest.mark.parametrize(
    ("left", "unsaved"),
    [
        ((), True),
        (("checkpoints/.epoch_1.x2y.pth", "checkpoints/initial.pth"), True),
        (("checkpoints/iter_3.pth",), False),
        (("logs/last_checkpoint",), False),  # its checkpoints were removed
        (("figures/curves.png",), False),
        (("model.pth",), False),
    ],
)
def test_a_run_is_unsaved_until_its_first_checkpoint(left, unsaved):
    run = runs.Run(begin("runs/mine"))
    for name in left:
        at(run.path / name, 1)
    assert run.is_unsaved is unsaved
    with pytest.raises(UsageError, match="no run 'empty'"):
        runs.find_run("empty")


def test_a_config_without_an_end_is_no_run(folder):
    (folder / "runs/pipe").mkdir(parents=True)
    os.mkfifo(folder / "runs/pipe/config.py")
    assert [run.name for run in runs.all_runs() if run.name == "pipe"] == []
    with pytest.raises(UsageError, match="no run 'pipe'"):
        runs.find_run("pipe")


def test_a_run_that_has_its_best_checkpoint_alone_says_so(folder):
    run = runs.Run(begin("runs/mine"))
    with pytest.raises(UsageError, match="first epoch or ended there, or they were removed"):
        run.last_checkpoint()
    at(run.best, 1)
    with pytest.raises(UsageError, match="its best checkpoint alone: give which=best"):
        run.last_checkpoint()
    assert run.checkpoint("best") == run.best


def test_a_checkpoint_in_a_runs_place_is_told_apart():
    with pytest.raises(UsageError, match=r"'a/b\.pth' is no run: a checkpoint is given by checkpoint=a/b\.pth"):
        runs.find_run("a/b.pth")


def test_an_unknown_run_is_answered_by_the_latest_there_are():
    for number in range(7):
        begin(f"runs/r{number}", number)
    with pytest.raises(UsageError, match=r"no run 'gone'.*latest: r2, r3, r4, r5, r6\)"):
        runs.find_run("gone")


def test_without_any_run_it_says_how_to_get_one(folder):
    with pytest.raises(UsageError, match=rf"no run in {folder}/runs: train one first"):
        runs.find_run(None)


# Checkpoints


def test_the_last_checkpoint_is_the_one_that_mmengine_noted():
    run = runs.Run(begin("runs/mine"))
    for seconds, name in enumerate(("iter_7", "epoch_10", "epoch_9")):  # as a copy may leave their times
        at(run.checkpoints / f"{name}.pth", seconds)
    at(run.path / "logs/last_checkpoint", 0).write_text("elsewhere/mine/checkpoints/iter_7.pth")
    assert run.last_checkpoint().name == "iter_7.pth"
    (run.checkpoints / "iter_7.pth").unlink()
    assert run.last_checkpoint().name == "epoch_10.pth"


@pytest.mark.parametrize(("seconds", "expected"), [(1, "epoch_10"), (3, "iter_107")])
def test_without_a_note_it_is_the_highest_epoch_or_a_later_iteration(seconds, expected):
    run = runs.Run(begin("runs/mine"))
    for name, when in (("epoch_10", 2), ("epoch_9", 9), ("iter_107", seconds), ("iter_20", 9)):
        at(run.checkpoints / f"{name}.pth", when)
    at(run.checkpoints / "best.pth", 9)
    at(run.checkpoints / ".epoch_11.abc.pth", 9)  # being written
    assert run.last_checkpoint().stem == expected


def test_a_run_without_a_checkpoint_says_so():
    with pytest.raises(UsageError, match=r"runs/mine has no checkpoint \(looked for runs/mine/checkpoints"):
        runs.Run(begin("runs/mine")).last_checkpoint()


def test_a_checkpoint_is_named_by_best_last_epoch_or_stem():
    run = runs.Run(begin("runs/mine"))
    for seconds, name in enumerate(("best", "epoch_1", "iter_7", "epoch_2", "initial")):
        at(run.checkpoints / f"{name}.pth", seconds)
    named = {"best": "best", "last": "epoch_2", "1": "epoch_1", "epoch_2": "epoch_2", "iter_7": "iter_7"}
    assert {which: run.checkpoint(which).stem for which in named} == named


@pytest.mark.parametrize("which", ["best", "3", "", "initial", "../epoch_1"])
def test_a_checkpoint_that_is_not_there_is_answered_by_those_that_are(which):
    run = runs.Run(begin("runs/mine"))
    for name in ("epoch_1", "epoch_2", "iter_7", "initial"):
        at(run.checkpoints / f"{name}.pth", 0)
    with pytest.raises(UsageError, match=rf"which={which}: run runs/mine has no such .*, but last, 1, 2, iter_7\."):
        run.checkpoint(which)


@pytest.mark.parametrize("which", ["best", "last", "3"])
def test_a_run_without_checkpoints_has_none_of_any_name(which):
    with pytest.raises(UsageError, match="runs/mine has no checkpoint"):
        runs.Run(begin("runs/mine")).checkpoint(which)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("all", ["initial", "epoch_1", "epoch_2", "epoch_10"]),
        ("10, 1,initial", ["epoch_10", "epoch_1", "initial"]),
        ("best,last,10", ["best", "epoch_10"]),
        ("initial", ["initial"]),
    ],
)
def test_several_checkpoints_are_named_at_once(which, expected):
    run = runs.Run(begin("runs/mine"))
    for name in ("best", "epoch_1", "epoch_10", "epoch_2", "initial"):
        at(run.checkpoints / f"{name}.pth", 0)
    assert [path.stem for path in run.several_checkpoints(which)] == expected


@pytest.mark.parametrize(("which", "wrong"), [("1,3", "3"), ("1,", ""), ("initial,1", "initial")])
def test_of_several_checkpoints_the_one_that_is_not_there_is_told(which, wrong):
    run = runs.Run(begin("runs/mine"))
    at(run.checkpoints / "epoch_1.pth", 0)
    with pytest.raises(UsageError, match=rf"which={wrong}: run runs/mine has no such checkpoint, but last, 1\."):
        run.several_checkpoints(which)


# Exports


def test_an_exported_folder_is_read_as_a_run_of_one_checkpoint(folder):
    begin("runs/mine")
    begin("runs/mine/export/fold")
    weights = at(Path("runs/mine/export/fold/model.pth"), 0)
    run = runs.find_run("runs/mine/export/fold")
    assert (run.name, run.last_checkpoint()) == ("fold", weights)
    assert run.several_checkpoints("all") == [weights]
    assert [run.name for run in runs.all_runs()] == ["mine"]


def test_what_is_made_of_a_run_that_may_not_be_written_to_goes_beside(folder, monkeypatch):
    runs_of_others = folder / "alice/runs"
    (runs_of_others / "base").mkdir(parents=True)
    assert runs.place_for(runs_of_others / "base") == runs_of_others / "base"
    monkeypatch.setattr("os.access", lambda path, mode: not Path(path).is_relative_to(runs_of_others))
    name = "-".join((runs_of_others / "base").parts[1:])
    assert runs.place_for(runs_of_others / "base") == Path(f"{name}.rgacli")
    assert runs.place_for(runs_of_others / "base.rgacli") == Path(f"{name}.rgacli")  # of base.pth, beside it
