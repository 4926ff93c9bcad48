"""Every function that takes a run takes any of its checkpoints."""

from pathlib import Path

import pytest

import rgacli
from rgacli.errors import UsageError

FUNCTIONS = {
    "evaluate": {},
    "predict": dict(inputs="image.jpg"),
    "export_fold": {},
    "export_head": dict(head="1:9"),
    "export_onnx": {},
    "ensemble": {},
    "gt_bins": {},
    "proposals": {},
    "scores": {},
    "load": {},
}


@pytest.fixture(autouse=True)
def _run(tmp_path, monkeypatch):
    """A run with two checkpoints, of which neither is looked into."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/mine/checkpoints").mkdir(parents=True)
    for name in ("config.py", "checkpoints/best.pth", "checkpoints/epoch_2.pth"):
        (tmp_path / "runs/mine" / name).touch()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_checkpoint_that_the_run_does_not_have_is_refused(function):
    with pytest.raises(UsageError, match=r"which=7: run runs/mine has no such checkpoint, but last, best, 2\."):
        getattr(rgacli, function)(**FUNCTIONS[function], which="7")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_checkpoint_that_is_named_by_its_file_is_not_chosen_by_its_epoch(function):
    named = "run_or_checkpoint" if function == "load" else "checkpoint"
    path = Path("runs/mine/checkpoints/epoch_2.pth")
    with pytest.raises(UsageError, match="which=best is one of a run's checkpoints"):
        getattr(rgacli, function)(**FUNCTIONS[function], **{named: path}, which="best")


@pytest.mark.parametrize("function", ["ensemble", "gt_bins"])
def test_results_have_no_checkpoints_to_choose_from(function):
    with pytest.raises(UsageError, match=r"results stand alone: leave out .*which"):
        getattr(rgacli, function)(results=["a=a.json"], annotations=Path("a.json"), which="best")
