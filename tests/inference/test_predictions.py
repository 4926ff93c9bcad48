import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO

from rgacli.evaluation.detections import Detections
from rgacli.inference.predictions import Predictions


def detections(*labels, masks=None):
    return Detections(
        boxes=np.array([[1, 2, 4, 6]] * len(labels), np.float32).reshape(-1, 4),
        scores=np.full(len(labels), 0.75, np.float32),
        labels=np.array(labels, np.int64),
        classes=("cat", "dog", "cow"),
        masks=masks,
    )


def test_the_file_stands_on_its_own_and_pycocotools_reads_it(tmp_path):
    predictions = Predictions(("cat", "dog", "cow"))
    predictions.add("a.jpg", (8, 10), detections(1, 0))
    predictions.add("empty.jpg", (8, 10), detections())
    predictions.add("clip.mp4", (8, 10), detections(1), frame=0)
    predictions.save(tmp_path / "predictions.json")
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["images"] == [
        {"id": 1, "file_name": "a.jpg", "height": 8, "width": 10},
        {"id": 2, "file_name": "empty.jpg", "height": 8, "width": 10},
        {"id": 3, "file_name": "clip.mp4", "height": 8, "width": 10, "frame": 0},
    ]
    first = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.75, "area": 12, "iscrowd": 0}
    assert content["annotations"][0] == first
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "predictions.json"))
    assert [entry["name"] for entry in coco.loadCats(coco.getCatIds())] == ["cat", "dog", "cow"]
    assert [len(coco.getAnnIds(image)) for image in coco.getImgIds()] == [2, 0, 1]
    assert predictions.counts() == {"cat": 1, "dog": 2}


def test_masks_are_run_lengths():
    mask = np.zeros((1, 8, 10), bool)
    mask[0, 2:6, 1:4] = True
    predictions = Predictions(("cat", "dog", "cow"))
    predictions.add("a.jpg", (8, 10), detections(2, masks=mask))
    assert predictions.counts() == {"cow": 1}
    (entry,) = predictions._annotations
    assert np.array_equal(rle.decode(entry["segmentation"]), mask[0])


def test_no_class_beyond_those_that_were_named():
    with pytest.raises(IndexError):
        Predictions(("cat",)).add("a.jpg", (8, 10), detections(1))
