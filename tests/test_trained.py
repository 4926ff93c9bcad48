"""One resolver: a run, a checkpoint, an export or an ONNX file -> what it is."""

from pathlib import Path

import pytest

from rgacli.errors import UsageError
from rgacli.trained import config_of, find_trained


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("model = dict(type='Mine')" if path.suffix == ".py" else "")


def test_a_run_is_known_by_its_last_checkpoint_and_takes_what_is_made_of_it():
    make("runs/mine/config.py", "runs/mine/checkpoints/epoch_2.pth", "runs/mine/checkpoints/epoch_10.pth")
    for named in (None, "mine", "runs/mine", Path("runs/mine")):
        found = find_trained(named)
        assert (found.name, found.home) == ("mine", Path("runs/mine"))
        assert found.checkpoint == Path("runs/mine/checkpoints/epoch_10.pth")
        assert found.cfg.model.type == "Mine"


def test_another_of_a_runs_checkpoints_is_taken_where_it_is_named():
    make("runs/mine/config.py", *(f"runs/mine/checkpoints/{stem}.pth" for stem in ("best", "epoch_1", "epoch_2")))
    for which, stem in (("best", "best"), ("last", "epoch_2"), ("1", "epoch_1")):
        found = find_trained("mine", which=which)
        assert (found.home, found.checkpoint) == (Path("runs/mine"), Path(f"runs/mine/checkpoints/{stem}.pth"))
    with pytest.raises(UsageError, match=r"which=3: run runs/mine has no such checkpoint, but last, best, 1, 2\."):
        find_trained("mine", which="3")


@pytest.mark.parametrize("place", ["runs/mine/checkpoints/epoch_1.pth", "runs/mine/model.pth"])
def test_a_checkpoint_has_the_config_of_its_run_or_export_and_a_folder_of_its_own(place):
    make("runs/mine/config.py", place)
    assert config_of(Path(place)) == Path("runs/mine/config.py")
    found = find_trained(checkpoint=place)
    assert found.cfg.model.type == "Mine"
    assert (found.name, found.home) == (Path(place).stem, Path(place).with_suffix(".rgacli"))


def test_a_checkpoint_is_known_from_its_own_folder_and_by_a_link(monkeypatch):
    make("runs/mine/config.py", "runs/mine/checkpoints/epoch_1.pth")
    Path("link.pth").symlink_to("runs/mine/checkpoints/epoch_1.pth")
    assert find_trained(checkpoint="link.pth").cfg.model.type == "Mine"
    monkeypatch.chdir("runs/mine/checkpoints")
    for named in ("epoch_1.pth", "./epoch_1.pth"):
        assert find_trained(checkpoint=named).cfg.model.type == "Mine"


@pytest.mark.parametrize("place", ["alone.pth", "runs/mine/others/epoch_1.pth", "checkpoints/epoch_1.pth"])
def test_a_checkpoint_that_lies_in_no_run_has_none(place):
    make("runs/mine/config.py", place)
    with pytest.raises(UsageError, match="lies in no run: name the config"):
        find_trained(checkpoint=place)
    assert find_trained(checkpoint=place, config="runs/mine/config.py").cfg.model.type == "Mine"


def test_an_export_is_a_run_of_one_checkpoint():
    make("runs/mine/export/fold/config.py", "runs/mine/export/fold/model.pth")
    found = find_trained("runs/mine/export/fold")
    assert (found.name, found.checkpoint.name) == ("fold", "model.pth")


def test_an_onnx_file_has_no_config_and_only_some_take_it():
    make("fold.onnx", "mine.py")
    found = find_trained(checkpoint="fold.onnx", onnx=True)
    assert (found.name, found.cfg, found.home) == ("fold", None, Path("fold.rgacli"))
    with pytest.raises(UsageError, match=r"only rgacli\.predict and rgacli\.load run an ONNX file"):
        find_trained(checkpoint="fold.onnx")
    with pytest.raises(UsageError, match="an ONNX file takes no config"):
        find_trained(checkpoint="fold.onnx", config="mine.py", onnx=True)


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        (dict(config="mine.py"), "config says what a checkpoint was trained by"),
        (dict(run="mine", checkpoint="x.pth"), "give a run or checkpoint, not both"),
        (dict(which="best", checkpoint="x.pth"), "which=best is one of a run's checkpoints: leave it out with checkp"),
        (dict(checkpoint="gone.pth"), "checkpoint gone.pth does not exist"),
        (dict(run="gone"), "no run 'gone'"),
    ],
)
def test_what_names_nothing_usable_is_refused(named, complaint):
    with pytest.raises(UsageError, match=complaint):
        find_trained(**named)
