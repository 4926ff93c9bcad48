import shutil
from collections import Counter
from pathlib import Path

import pytest

from rgacli.evaluation.max_dets import MaxDets
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.trained import find_trained
from tests.support.dense import densify


@pytest.fixture
def on_dense_images(finished_run, tiny_dataset, tmp_path):
    """max_dets -> a detector that reports all that it finds, on images of which one has 101 objects."""
    run = shutil.copytree(finished_run, tmp_path / "run")
    config = (run / "config.py").read_text()
    assert config.count("score_thr=0.05") == 1
    (run / "config.py").write_text(config.replace("score_thr=0.05", "score_thr=0.0"))
    dense = densify(tiny_dataset, tmp_path / "dense", 101)
    return lambda max_dets=None: SplitDetections.of(find_trained(run), "test", dense, max_dets=max_dets)


def test_where_val_stands_in_for_test_it_is_called_by_its_name(finished_run, tiny_dataset, tmp_path, caplog):
    """In another dataset, and in the one trained on: a number on val is none on test."""
    caplog.set_level("INFO", "rgacli")
    run, data = shutil.copytree(finished_run, tmp_path / "run"), shutil.copytree(tiny_dataset, tmp_path / "data")
    (data / "annotations/test.json").unlink()
    elsewhere = SplitDetections.of(find_trained(run), "test", data)
    assert (elsewhere.split, elsewhere.folder, Path(elsewhere.ann_file).name) == (
        "val",
        run / "detections/data-val",
        "val.json",
    )
    assert caplog.messages == [f"{data}: val stands in for test, which there is none of"]
    assert SplitDetections.of(find_trained(run), "test").split == "test"
    config = (run / "config.py").read_text()
    (run / "config.py").write_text(config.replace("annotations/test.json", "annotations/val.json"))
    own = SplitDetections.of(find_trained(run), "test")
    assert (own.split, own.folder) == ("val", run / "detections/val")


def most(found):
    """The most detections that an image has, by any variant."""
    return max(max(Counter(one["image_id"] for one in detections).values()) for detections in found.values())


def test_the_detectors_limits_do_not_bind_and_what_fewer_allowed_is_not_taken_for_more(on_dense_images, caplog):
    caplog.set_level("INFO", "rgacli")
    assert most(on_dense_images(100).load()) == 100
    assert caplog.messages == []
    detector = on_dense_images()
    assert detector.max_dets == MaxDets(200, "COCO", 100, 101, "densest")
    assert 100 < most(detector.load()) <= 200
    assert caplog.messages[0].startswith(
        "run: limits raised for 200 detections an image: model.test_cfg.rcnn.max_per_img"
    )
    on_dense_images().load()
    assert caplog.messages[2:] == [f"run: using the detections in {detector.folder}"]


@pytest.mark.parametrize(("asked", "limit"), [(None, 100), (150, 150)])
def test_without_looking_at_annotations_the_configs_limits_hold_unless_more_is_asked_for(on_dense_images, asked, limit):
    detector = on_dense_images(asked)
    detector.make_room(measured=False)
    assert detector.cfg.model.test_cfg.rcnn.max_per_img == limit
