import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rgacli
from rgacli.errors import UsageError
from rgacli.runs import Run
from tests.support.run_folders import write_checkpoint, write_run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_export(path):
    Path(path).mkdir(parents=True)
    (Path(path) / "config.py").write_text("model = dict()  # rgacli")
    (Path(path) / "model.pth").write_bytes(b"weights")


def checkpoints(path):
    return sorted(file.name for file in (Path(path) / "checkpoints").iterdir())


# Listing and showing


def test_runs_are_listed_by_their_begin_damaged_ones_too_and_exports_not():
    write_run("runs/second", [0.2], seconds=2)
    write_run("runs/first", [0.1], seconds=1)
    (write_run("runs/third", seconds=3) / "metrics.jsonl").write_text("{")
    write_export("runs/exported")
    records = rgacli.list_runs()
    assert [record.name for record in records] == ["first", "second", "third"]
    assert records[2].problems
    assert records[0].problems == ()


def test_there_may_be_no_run():
    assert rgacli.list_runs() == ()


def test_listing_takes_neither_torch_nor_mmengine():
    write_run("runs/mine", [0.1])
    code = "import sys, rgacli; assert len(rgacli.list_runs()) == 1; rgacli.show_run(); rgacli.prune_runs()\n" + (
        "found = {'torch', 'mmengine', 'numpy'} & set(sys.modules); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_is_shown_with_its_schedule_and_what_lies_in_it():
    path = write_run("runs/mine", [0.1, 0.3, 0.2])
    (path / "tensorboard").mkdir()
    details = rgacli.show_run("mine")
    assert details.record == rgacli.list_runs()[0]
    assert details.schedule == {
        **{"epochs": 4, "validated every": 1, "batch size": 2, "processes": 2},
        **{"optimizer": "SGD", "learning rate": 0.01, "seed": 3},
    }
    assert list(details.checkpoints) == [f"runs/mine/checkpoints/epoch_{epoch}.pth" for epoch in (1, 2, 3)]
    assert details.last_checkpoint == path / "checkpoints/epoch_3.pth"
    assert details.best_checkpoint == path / "checkpoints/epoch_2.pth"
    assert {Path(part).name for part in details.contents} == {"config.py", "metrics.jsonl", "tensorboard"}
    assert sum(details.checkpoints.values()) + sum(details.contents.values()) == details.record.size


def test_the_latest_run_is_shown_without_a_name():
    write_run("runs/older", seconds=1)
    write_run("runs/newer", seconds=2)
    assert rgacli.show_run().record.name == "newer"


def test_a_run_without_checkpoints_and_validations_is_shown():
    write_run("runs/mine")
    details = rgacli.show_run("mine")
    assert (details.last_checkpoint, details.best_checkpoint, details.checkpoints) == (None, None, {})


# Removing


def test_a_run_is_removed_with_all_it_left_and_no_other(folder):
    mine, other = write_run("runs/mine", [0.1]), write_run("runs/other", [0.1])
    write_export(mine / "export/fold")
    (removal,) = rgacli.remove_runs("mine")
    assert (removal.name, removal.notes) == ("mine", ())
    assert removal.freed > 200
    assert not mine.exists()
    assert checkpoints(other) == ["epoch_1.pth"]


def test_a_dry_run_removes_nothing_and_tells_the_same():
    write_run("runs/mine", [0.1])
    told = rgacli.remove_runs(["mine"], dry_run=True)
    assert rgacli.show_run("mine").record.size == told[0].freed
    assert rgacli.remove_runs(["mine"]) == told


def test_a_run_named_twice_is_removed_once():
    write_run("runs/mine")
    assert len(rgacli.remove_runs(["mine", "runs/mine", Path("runs/mine").absolute()])) == 1


def test_files_of_the_users_stay_and_are_named():
    path = write_run("runs/mine", [0.1])
    (path / "notes.txt").write_text("precious")
    (removal,) = rgacli.remove_runs("mine")
    assert removal.notes == ("runs/mine stays, with what is no part of a run: notes.txt",)
    assert [file.name for file in path.iterdir()] == ["notes.txt"]


def test_of_a_run_that_is_a_link_the_link_goes(folder):
    target = write_run("elsewhere/mine", [0.1])
    Path("runs").mkdir()
    Path("runs/link").symlink_to(target.absolute())
    (removal,) = rgacli.remove_runs("link")
    assert (removal.freed, removal.notes) == (0, (f"is a link; {target.absolute()} stays",))
    assert not Path("runs/link").is_symlink()
    assert checkpoints(target) == ["epoch_1.pth"]


def test_of_checkpoints_that_are_a_link_the_link_goes(folder):
    path = write_run("runs/mine", [0.1])
    (path / "checkpoints").rename(folder / "big_disk")
    (path / "checkpoints").symlink_to(folder / "big_disk")
    (removal,) = rgacli.remove_runs("mine")
    assert removal.notes == (f"runs/mine/checkpoints is a link; {folder / 'big_disk'} stays",)
    assert (folder / "big_disk/epoch_1.pth").is_file()
    assert not path.exists()


def test_the_folder_one_is_in_can_be_removed(monkeypatch):
    path = write_run("elsewhere/mine", [0.1]).absolute()
    monkeypatch.chdir(path)
    rgacli.remove_runs(".")
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "no run 'gone'"),
        ("", "no run ''"),
        ("project", r"project does not look like a run \(project/config.py is not what a training wrote\)"),
        ("runs/mine/export/fold", "runs/mine/export/fold is what an export wrote, and no run"),
    ],
)
def test_what_is_no_run_is_not_removed_nor_is_what_is_named_beside_it(name, message):
    mine = write_run("runs/mine", [0.1])
    write_export(mine / "export/fold")
    Path("project/logs").mkdir(parents=True)
    Path("project/config.py").write_text("PORT = 80")
    with pytest.raises(UsageError, match=message):
        rgacli.remove_runs(["mine", name])
    assert checkpoints(mine) == ["epoch_1.pth"]
    assert Path("project/logs").is_dir()


def test_no_run_is_removed_where_none_is_named():
    write_run("runs/mine", [0.1])
    assert rgacli.remove_runs([]) == ()
    assert len(rgacli.list_runs()) == 1


@pytest.mark.parametrize("act", [rgacli.remove_runs, rgacli.prune_runs])
def test_a_run_that_is_being_trained_is_left_alone(act):
    path = write_run("runs/mine", [0.1, 0.2])
    with Run(path).held(), pytest.raises(UsageError, match="runs/mine is being trained"):
        act("mine")
    assert checkpoints(path) == ["epoch_1.pth", "epoch_2.pth"]


# Pruning


def test_the_last_and_the_best_checkpoint_stay():
    path = write_run("runs/mine", [0.1, 0.4, 0.2, 0.3])
    told = rgacli.prune_runs("mine", dry_run=True)
    assert len(checkpoints(path)) == 4
    assert rgacli.prune_runs("mine") == told
    assert checkpoints(path) == ["epoch_2.pth", "epoch_4.pth"]
    assert [file.name for file in told[0].removed] == ["epoch_1.pth", "epoch_3.pth"]
    assert told[0].freed == 2 * (path / "checkpoints/epoch_4.pth").stat().st_size
    assert rgacli.prune_runs("mine")[0].removed == ()


def test_where_the_best_is_gone_the_best_of_what_is_there_stays():
    path = write_run("runs/mine", [0.1, 0.9, 0.3, 0.2, 0.2])
    (path / "checkpoints/epoch_2.pth").unlink()
    rgacli.prune_runs("mine")
    assert checkpoints(path) == ["epoch_3.pth", "epoch_5.pth"]


def test_what_a_run_resumes_from_stays_though_an_epoch_is_later():
    path = write_run("runs/mine", [0.3, 0.2])
    (path / "checkpoints/epoch_2.pth").rename(path / "checkpoints/iter_17.pth")
    (path / "logs").mkdir()
    (path / "logs/last_checkpoint").write_text("runs/mine/checkpoints/iter_17.pth")
    rgacli.prune_runs("mine")
    assert checkpoints(path) == ["epoch_1.pth", "iter_17.pth"]
    assert Run(path).last_checkpoint().name == "iter_17.pth"


def test_a_best_that_was_kept_stands_for_its_epoch():
    path = write_run("runs/mine", [0.1, 0.4, 0.2])
    write_checkpoint(path / "checkpoints/best.pth")
    details = rgacli.show_run("mine")
    assert details.best_checkpoint == path / "checkpoints/best.pth"
    assert list(details.checkpoints)[-1] == "runs/mine/checkpoints/best.pth"
    rgacli.prune_runs("mine")
    assert checkpoints(path) == ["best.pth", "epoch_3.pth"]


def test_what_a_training_started_from_goes_once_it_has_a_checkpoint_of_its_own():
    path = write_run("runs/mine", [0.1])
    initial = write_checkpoint(path / "checkpoints/initial.pth")
    assert next(iter(rgacli.show_run("mine").checkpoints)) == str(initial)
    rgacli.prune_runs("mine")
    assert checkpoints(path) == ["epoch_1.pth"]
    untrained = write_run("runs/untrained")
    write_checkpoint(untrained / "checkpoints/initial.pth")
    assert rgacli.prune_runs("untrained")[0].removed == ()


def test_other_files_among_the_checkpoints_stay():
    path = write_run("runs/mine", [0.2, 0.1, 0.1])
    for name in ("best.pth", "mine.pth"):
        (path / "checkpoints" / name).touch()  # a best that is damaged stands for none
    rgacli.prune_runs("mine")
    assert checkpoints(path) == ["best.pth", "epoch_1.pth", "epoch_3.pth", "mine.pth"]


def test_without_a_validation_the_last_stays_alone():
    path = write_run("runs/mine", [None, None, None])
    rgacli.prune_runs("mine")
    assert checkpoints(path) == ["epoch_3.pth"]


def test_without_a_name_all_runs_are_pruned_but_those_that_cannot_be_and_say_so():
    paths = [write_run(f"runs/{name}", [0.1, 0.2], seconds=ord(name)) for name in "abc"]
    (paths[1] / "checkpoints/epoch_2.pth").write_bytes(b"PK\3\4 cut")
    with Run(paths[2]).held():
        removals = rgacli.prune_runs()
    assert [checkpoints(path) for path in paths] == [["epoch_2.pth"], *[["epoch_1.pth", "epoch_2.pth"]] * 2]
    assert "epoch_2.pth is damaged" in removals[1].notes[0]
    assert "being trained" in removals[2].notes[0]
    with pytest.raises(UsageError, match=r"epoch_2.pth is damaged: the checkpoints before it are kept"):
        rgacli.prune_runs("b")


def test_a_flipped_bit_in_the_last_checkpoint_keeps_those_before_it():
    path = write_run("runs/mine", [0.1, 0.2])
    last = path / "checkpoints/epoch_2.pth"
    with zipfile.ZipFile(last, "w") as file:
        file.writestr("archive/data/0", b"weights")
    last.write_bytes(last.read_bytes().replace(b"weights", b"weightr"))
    with pytest.raises(UsageError, match=r"epoch_2.pth is damaged: the checkpoints before it are kept"):
        rgacli.prune_runs("mine")
    assert checkpoints(path) == ["epoch_1.pth", "epoch_2.pth"]


def test_a_link_and_its_target_are_pruned_once(folder):
    path = write_run("runs/mine", [0.1, 0.2])
    Path("runs/link").symlink_to(path.absolute())
    assert sum(removal.freed for removal in rgacli.prune_runs()) == (path / "checkpoints/epoch_2.pth").stat().st_size
    assert checkpoints(path) == ["epoch_2.pth"]
