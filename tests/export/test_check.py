import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict

from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.detections import Detections
from rgacli.export import check
from rgacli.export.check import check_parity
from rgacli.export.exported_head import ExportedHead
from rgacli.export.parity import Parity

HEAD = ExportedHead("1to9", "1:9", 1, parallel=True)


class Finds:
    """A detector of which one head finds an object on each image, or nothing, and the others something else."""

    def __init__(self, head, heads=None, x1=5.0, number=1):
        self.heads, self._head, self._x1, self._number = heads or (head,), head, x1, number
        self.seen = []

    def __call__(self, path):
        self.seen.append(path.name)
        return {head: self._found(self._x1 if head == self._head else 15.0) for head in self.heads}

    def _found(self, x1):
        boxes = np.array([[x1, 0, 20, 10]] * self._number, np.float32).reshape(-1, 4)
        return Detections(boxes, np.full(self._number, 0.9), np.zeros(self._number, int), ("a",))


@dataclass
class Source:
    """As much of a SplitDetections as is asked for; its trained detector is the loaded one."""

    dataset: ConfigDict
    images: dict
    trained: Finds
    name: str = "base"
    split: str = "test"


@pytest.fixture(autouse=True)
def _loaded(monkeypatch):
    monkeypatch.setattr(check, "load_detector", lambda trained, device: trained)


@pytest.fixture
def source(tmp_path):
    """Five images are listed; the second is not there."""
    for name in ("ann.json", "1.jpg", "3.jpg", "4.jpg", "5.jpg"):
        (tmp_path / name).touch()
    dataset = ConfigDict(type="CocoDataset", data_root=str(tmp_path), ann_file="ann.json", data_prefix=dict(img=""))
    listed = {"images": [{"file_name": f"{number}.jpg"} for number in range(1, 6)]}
    return Source(dataset, listed, Finds("1:9", ["1:1", "1:9", "ensemble"]))


@pytest.fixture
def _unloadable(monkeypatch):
    monkeypatch.setattr(check, "load_detector", lambda trained, device: pytest.fail("loaded"))


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "rgacli")
    return lambda: [record.getMessage() for record in caplog.records]


def test_both_detect_on_the_first_images_that_are_there(source, told):
    exported, reports = Finds("detector"), []
    parity = check_parity(source, HEAD, exported, 3, lambda *report: reports.append(report))
    assert parity == Parity(images=3, detections=3)
    assert exported.seen == source.trained.seen == ["1.jpg", "3.jpg", "4.jpg"]
    assert reports == [("checking", number, 3) for number in (1, 2, 3)]
    assert told() == [f"base: checked against 1:9: {parity}"]


def test_fewer_images_than_asked_for_are_all(source):
    assert check_parity(source, HEAD, Finds("detector"), 8).images == 4


@pytest.mark.parametrize("exported", [Finds("detector", x1=5.1), Finds("detector", number=0)])
def test_what_differs_fails(source, exported):
    with pytest.raises(RunFailed, match=r"not detect what 1:9 does, and is not kept: 4 images.* \(check=0 exports"):
        check_parity(source, HEAD, exported, 8)


def test_where_nothing_is_found_it_says_so(source, told):
    source.trained = Finds("1:9", number=0)
    assert check_parity(source, HEAD, Finds("detector", number=0), 8) == Parity(images=4)
    assert told()[0].endswith("0 in scores; nothing was found, so that nothing is shown")


@pytest.mark.usefixtures("_unloadable")
@pytest.mark.parametrize("gone", [["ann.json"], ["1.jpg", "3.jpg", "4.jpg", "5.jpg"]])
def test_without_images_nothing_is_loaded_or_compared(source, gone, told):
    for name in gone:
        Path(source.dataset.data_root, name).unlink()
    assert check_parity(source, HEAD, Finds("detector"), 8) is None
    assert told() == ["base: not checked, for the test split's images are not there"]


@pytest.mark.usefixtures("_unloadable")
def test_none_is_no_check_and_fewer_are_refused(source, told):
    assert check_parity(source, HEAD, Finds("detector"), 0) is None
    with pytest.raises(UsageError, match=r"check=-1: a number of images"):
        check_parity(source, HEAD, Finds("detector"), -1)
    assert told() == []
