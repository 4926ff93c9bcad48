import shutil
from collections import Counter

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
