import shutil

import numpy as np
import pytest

import rgacli
from rgacli.errors import UsageError
from rgacli.export.stock import write_stock
from tests.support import inferring

HEADS = ("1:1", "1:9", "ensemble")


@pytest.fixture(scope="module")
def home(tmp_path_factory, finished_run):
    """A folder with runs/base and its export; also beside no config, as mine.pth. Not to be written to."""
    root = tmp_path_factory.mktemp("home")
    run = shutil.copytree(finished_run, root / "runs/base")
    about = dict(classes=("disc",), ann_file="", provenance={})
    write_stock(inferring.config(run), run / "checkpoints/epoch_3.pth", run / "export/fold", **about)
    shutil.copy(run / "checkpoints/epoch_2.pth", root / "mine.pth")
    shutil.copy(run / "config.py", root / "mine.py")
    return root


@pytest.fixture(autouse=True)
def _at_home(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.mark.parametrize("what", [None, "base", "runs/base", "runs/base/checkpoints/epoch_3.pth"])
def test_a_run_or_its_checkpoint_is_all_that_is_needed(what):
    detector = rgacli.load(what, device="cpu")
    assert detector.heads == HEADS
    assert detector.classes[0] == "disc"
    assert tuple(detector(np.zeros((48, 64, 3), np.uint8))) == HEADS


def test_a_checkpoint_elsewhere_takes_its_config():
    assert rgacli.load("mine.pth", "mine.py", "cpu").heads == HEADS
    with pytest.raises(UsageError, match=r"mine\.pth lies in no run"):
        rgacli.load("mine.pth")


def test_a_checkpoint_that_is_not_there_is_no_run():
    with pytest.raises(UsageError, match=r"checkpoint nosuch\.pth does not exist"):
        rgacli.load("nosuch.pth")


@pytest.mark.parametrize("what", ["runs/base/export/fold", "runs/base/export/fold/model.pth"])
def test_an_export_is_a_detector_of_one_head(what):
    detector = rgacli.load(what, device="cpu")
    assert detector.heads == ("detector",)
    assert detector.classes[0] == "disc"


def test_its_limits_are_raised_and_not_lowered_to_what_is_asked_for():
    def limits(max_dets):
        model = rgacli.load("base", device="cpu", max_dets=max_dets).model
        return model.roi_head.test_cfg.max_per_img, model.rpn_head.test_cfg.max_per_img

    assert limits(None) == limits(50) == (100, 20)
    assert limits(300) == (300, 600)
    with pytest.raises(UsageError, match="max_dets=0: it must be at least 1"):
        rgacli.load("base", max_dets=0)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("gone",), "no run 'gone'"),
        (("gone.pth", "quickstart"), r"checkpoint gone\.pth does not exist"),
        (("runs/base", "quickstart"), "checkpoint runs/base does not exist"),
        ((None, "quickstart"), "config says what a checkpoint was trained by"),
        (("fold.onnx", "quickstart"), r"fold\.onnx: an ONNX file takes no config"),
        (("gone.onnx",), r"gone\.onnx does not exist"),
        (("runs/base/checkpoints/epoch_3.pth", "gone"), "config 'gone' is neither"),
        (("runs/base/checkpoints/epoch_3.pth", "quickstart"), "does not fit the config"),
    ],
)
def test_what_cannot_be_loaded_is_refused(arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        rgacli.load(*arguments)
