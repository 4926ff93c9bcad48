"""`rgacli.load`: here, since it takes the run that the tests of the commands share."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import rgacli
from rgacli.errors import UsageError
from tests.cli.commands import invoke

HEADS = ("1:1", "1:9", "ensemble")


def test_importing_rgacli_imports_nothing_heavy():
    code = "import sys, rgacli; assert rgacli.load; assert not {'torch', 'numpy', 'mmengine'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("what", [None, "base", "runs/base", "runs/base/checkpoints/epoch_3.pth"])
def test_a_run_or_its_checkpoint_is_all_that_is_needed(run, what):
    detector = rgacli.load(what, device="cpu")
    assert detector.heads == HEADS
    assert detector.classes[0] == "disc"
    assert tuple(detector(np.zeros((48, 64, 3), np.uint8))) == HEADS


def test_a_checkpoint_elsewhere_takes_its_config(run, folder):
    shutil.copy(run / "checkpoints/epoch_2.pth", "mine.pth")
    shutil.copy(run / "config.py", "mine.py")
    assert rgacli.load("mine.pth", "mine.py", "cpu").heads == HEADS
    with pytest.raises(UsageError, match=r"mine\.pth lies in no run"):
        rgacli.load("mine.pth")


@pytest.mark.parametrize("what", ["runs/base/export/fold", "runs/base/export/fold/model.pth"])
def test_an_export_is_a_detector_of_one_head(run, what):
    assert invoke("export", "fold").exit_code == 0
    detector = rgacli.load(what, device="cpu")
    assert detector.heads == ("detector",)
    assert detector.classes[0] == "disc"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("gone",), "no run 'gone'"),
        (("gone.pth", "quickstart"), r"checkpoint gone\.pth does not exist"),
        (("runs/base/checkpoints/epoch_3.pth", "gone"), "config 'gone' is neither"),
        (("runs/base/checkpoints/epoch_3.pth", "quickstart"), "does not fit the config"),
    ],
)
def test_what_cannot_be_loaded_is_refused(run, arguments, complaint):
    with pytest.raises(UsageError, match=complaint):
        rgacli.load(*arguments)
