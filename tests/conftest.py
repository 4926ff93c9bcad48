"""Fixtures and settings that all tests share."""

import functools
import gc
import os

import pytest
from hypothesis import settings

from rgacli.analysis import figures
from rgacli.analysis.finding import Finding
from tests.support.once import once
from tests.support.sketches import sketch

_WRITE = figures.write

# Before torch is imported, and for the processes that tests start: everything here is too small for threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # setting its logging up closes the log files of others

settings.register_profile("rgacli", deadline=None)  # a busy machine is no reason to fail
settings.load_profile("rgacli")

ON_THE_CPU = ("mmengine.device.utils.DEVICE", "cpu")


def pytest_collection_finish():
    """What is there by now stays: mmengine collects garbage for each dataset, and looks through all of torch for it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _quick_configs():
    """mmdet's hundred metafiles are read once, and configs printed as they are: yapf takes longer than the training."""
    from mmengine.config import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "load", functools.cache(utils.load))
        patch.setattr("mmengine.config.config.FormatCode", lambda text, **_: (text, True))
        yield


@pytest.fixture(scope="session", autouse=True)
def _sketches():
    """Figures are drawn, but not rendered, where they are not what is tested (`rendered`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "write", sketch)
        yield


@pytest.fixture
def rendered(monkeypatch):
    """Figures are rendered."""
    monkeypatch.setattr(figures, "write", _WRITE)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are not drawn, nor is anything saved of them: drawing takes as long as all else."""
    monkeypatch.setattr(figures, "save", lambda figure, path, rows: path.with_suffix(".svg"))
    for kind in Finding.__subclasses__():
        monkeypatch.setattr(kind, "draw", lambda finding: None)


@pytest.fixture(autouse=True)
def _on_the_cpu(request, monkeypatch):
    """mmengine takes a CUDA device wherever there is one; here only the tests marked gpu may."""
    if not request.node.get_closest_marker("gpu"):
        monkeypatch.setattr(*ON_THE_CPU)


@pytest.fixture
def extractor_crops(monkeypatch):
    """RoI features come from mmdet's own extractor, to the last bit; `crop` gives them to float rounding."""
    monkeypatch.setattr("rgacli.modeling.roi_crop.sampling_of", lambda extractor: None)


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """A user's cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("RGACLI_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    """Folder of a drawn dataset: 64x64 images, 4 to train on, 2 to validate and 2 to test on. Not to be written to."""
    from rgacli.data.synthetic import write_dataset

    def draw(folder):
        write_dataset(folder / "tiny", sizes={"train": 4, "val": 2, "test": 2}, image_size=(64, 64), max_objects=4)

    return once(tmp_path_factory, "dataset", draw)[0] / "tiny"


@pytest.fixture(scope="session")
def finished_run(tiny_dataset, tmp_path_factory):
    """Folder of a whole training: 3 epochs of 4 iterations. Not to be written to."""
    from rgacli.engine.training import train
    from tests.support import tiny

    def whole(folder):
        cfg = tiny.training_config(tiny_dataset, folder)
        (folder / "config.py").write_text(cfg.pretty_text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*ON_THE_CPU)
            train(cfg, folder / "checkpoints", folder / "metrics.jsonl", [], None)

    return once(tmp_path_factory, "finished", whole)[0]
