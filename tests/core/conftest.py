import functools

import pytest
from mmengine.config import utils

from rgacli.core.training import train
from tests.core import tiny

ON_THE_CPU = ("mmengine.device.utils.DEVICE", "cpu")


@pytest.fixture(scope="package", autouse=True)
def _quick_configs():
    """mmdet's hundred metafiles are read once, and configs printed as they are: yapf takes longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "load", functools.cache(utils.load))
        patch.setattr("mmengine.config.config.FormatCode", lambda text, **_: (text, True))
        yield


@pytest.fixture(autouse=True)
def _on_the_cpu(request, monkeypatch):
    """mmengine takes a CUDA device wherever there is one; here only the tests marked gpu may."""
    if not request.node.get_closest_marker("gpu"):
        monkeypatch.setattr(*ON_THE_CPU)


@pytest.fixture(scope="session")
def finished_run(tiny_dataset, tmp_path_factory):
    """Folder of a whole training: 3 epochs of 4 iterations. Not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    cfg = tiny.training_config(tiny_dataset, folder)
    (folder / "config.py").write_text(cfg.pretty_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ON_THE_CPU)
        train(cfg, folder / "checkpoints", folder / "metrics.jsonl", [], None)
    return folder
