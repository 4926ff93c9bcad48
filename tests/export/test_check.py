import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.detections import Detections
from rgacli.export import check
from rgacli.export.check import BATCHES, check_parity
from rgacli.export.exported_head import ExportedHead
from rgacli.export.parity import Parity

HEAD = ExportedHead("1to9", "1:9", 1, parallel=True)


SIZE = (40, 60)


class Finds:
    """A detector of which one head finds an object on each image, or nothing, and the others something else.

    In batches of `wrong` images it finds nothing. `seen` has the images of each batch, and what is left of them.
    """

    def __init__(self, head, heads=None, x1=5.0, number=1, wrong=None):
        self.heads, self._head, self._x1, self._number, self._wrong = heads or (head,), head, x1, number, wrong
        self.seen = []

    def read(self, path):
        return path.name

    def prepare(self, name):
        sample = DetDataSample(metainfo=dict(img_path=name, img_shape=SIZE, ori_shape=(20, 30)))
        return dict(inputs=torch.zeros(3, *SIZE), data_samples=sample)

    def detect_together(self, images):
        for image in images:
            assert image["inputs"].shape[1:] == image["data_samples"].img_shape
        samples = [image["data_samples"] for image in images]
        self.seen.append([(sample.img_path, sample.img_shape, sample.ori_shape) for sample in samples])
        number = 0 if len(images) == self._wrong else self._number
        return [
            {head: self._found(number, self._x1 if head == self._head else 15.0) for head in self.heads} for _ in images
        ]

    def _found(self, number, x1):
        boxes = np.array([[x1, 0, 20, 10]] * number, np.float32).reshape(-1, 4)
        return Detections(boxes, np.full(number, 0.9), np.zeros(number, int), ("a",))


def whole(*numbers):
    return [(f"{number}.jpg", SIZE, (20, 30)) for number in numbers]


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
    found = check_parity(source, HEAD, exported, 3, lambda *report: reports.append(report))
    parity = Parity(images=3, detections=3)
    assert found == {"1": parity}
    assert exported.seen == source.trained.seen == [whole(1), whole(3), whole(4)]
    assert reports == [("checking", number, 3) for number in (1, 2, 3)]
    assert told() == [f"base: checked against 1:9: {parity}"]


def test_fewer_images_than_asked_for_are_all(source):
    assert check_parity(source, HEAD, Finds("detector"), 8)["1"].images == 4


def test_batches_are_of_three_and_of_mixed_sizes(source, told):
    exported, reports = Finds("detector"), []
    found = check_parity(source, HEAD, exported, 8, lambda *report: reports.append(report), list(BATCHES))
    assert found == dict.fromkeys(("1", "3", "mixed"), Parity(images=4, detections=4))
    assert exported.seen == source.trained.seen
    threes, mixed = exported.seen[4:6], exported.seen[6:]
    assert threes == [whole(1, 3, 4), whole(5)]
    first, *cut = mixed[0]
    assert [first] == whole(1)
    assert cut == [("3.jpg", (30, 60), (15, 30)), ("4.jpg", (20, 36), (10, 18))]
    assert mixed[1] == whole(5)
    assert reports[4:] == [
        (f"checking in batches of {what}", done, 4) for what in ("3", "mixed sizes") for done in (3, 4)
    ]
    assert told()[1].startswith("base: checked against 1:9 in batches of 3: 4 images")


def test_images_too_few_for_a_batch_come_into_it_more_than_once(source):
    exported = Finds("detector")
    found = check_parity(source, HEAD, exported, 2, batches=list(BATCHES))
    assert exported.seen[2] == whole(1, 3, 1)
    assert (found["1"].images, found["3"].images) == (2, 3)


def test_what_differs_in_batches_alone_fails(source):
    check_parity(source, HEAD, Finds("detector", wrong=3), 8)
    with pytest.raises(RunFailed, match=r"not detect what 1:9 does in batches of 3, and is not kept: 4 images"):
        check_parity(source, HEAD, Finds("detector", wrong=3), 8, batches=list(BATCHES))


@pytest.mark.parametrize("exported", [Finds("detector", x1=5.1), Finds("detector", number=0)])
def test_what_differs_fails(source, exported):
    with pytest.raises(RunFailed, match=r"not detect what 1:9 does, and is not kept: 4 images.* \(check=0 exports"):
        check_parity(source, HEAD, exported, 8)


def test_where_nothing_is_found_it_says_so(source, told):
    source.trained = Finds("1:9", number=0)
    assert check_parity(source, HEAD, Finds("detector", number=0), 8) == {"1": Parity(images=4)}
    assert told()[0].endswith("0 in scores; nothing was found, so that nothing is shown")


@pytest.mark.usefixtures("_unloadable")
@pytest.mark.parametrize("gone", [["ann.json"], ["1.jpg", "3.jpg", "4.jpg", "5.jpg"]])
def test_without_images_nothing_is_loaded_or_compared(source, gone, told):
    for name in gone:
        Path(source.dataset.data_root, name).unlink()
    assert check_parity(source, HEAD, Finds("detector"), 8) == {}
    assert told() == ["base: not checked, for the test split's images are not there"]


@pytest.mark.usefixtures("_unloadable")
def test_none_is_no_check_and_fewer_are_refused(source, told):
    assert check_parity(source, HEAD, Finds("detector"), 0) == {}
    with pytest.raises(UsageError, match=r"check=-1: a number of images"):
        check_parity(source, HEAD, Finds("detector"), -1)
    assert told() == []
