import os
import shutil

import pytest

from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation import detect as module
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.locks import LOCK, locked
from rgacli.trained import find_trained


@pytest.fixture
def detections(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    return SplitDetections.of(find_trained(run), "val")


def test_detections_are_made_by_one_process_at_a_time(detections):
    """Else they might be of one, and source.json speak for the other."""
    detections.folder.mkdir(parents=True)
    with (
        locked(detections.folder / LOCK, "held by"),
        pytest.raises(UsageError, match=rf"detections in .*val are being made by process {os.getpid()} on"),
    ):
        detections.detect()
    assert [path.name for path in detections.folder.iterdir()] == [LOCK]


def test_detections_of_a_checkpoint_that_was_written_anew_meanwhile_are_not_taken_for_its_own(detections, monkeypatch):
    """A training writes best.pth in place of the one before."""
    build = module.variants_detector

    def overtaken(trained, methods):
        model = build(trained, methods)
        os.utime(trained.checkpoint, (1, 1))
        return model

    monkeypatch.setattr(module, "variants_detector", overtaken)
    with pytest.raises(RunFailed, match=r"epoch_3.pth, or .*, changed while the detector ran"):
        detections.load()
    assert detections.saved() is None
