from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rgacli.errors import UsageError
from rgacli.inference.show import SplitPictures
from tests.support.inferring import pixels


@pytest.fixture
def split(tmp_path):
    """Seven images, of a class and a crowd each; as much of a SplitDetections as is looked at."""
    (tmp_path / "images").mkdir()
    images = [{"id": 10 + i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(7)]
    objects = []
    for image in images:
        cv2.imwrite(str(tmp_path / "images" / image["file_name"]), pixels(seed=image["id"]))
        for crowd in (0, 1):
            triangle = [[0, 0, 20, 0, 0, 20]]
            objects.append({"image_id": image["id"], "category_id": 5, "bbox": [0, 0, 20, 20], "iscrowd": crowd})
            objects[-1]["segmentation"] = triangle
    categories = [{"id": 7, "name": "a"}, {"id": 5, "name": "b"}]
    annotations = {"images": images, "categories": categories, "annotations": objects}
    dataset = SimpleNamespace(get={"data_root": str(tmp_path), "data_prefix": {"img": "images"}}.get)
    return SimpleNamespace(annotations=annotations, dataset=dataset)


def detection(image, score, **mask):
    return {"image_id": image, "category_id": 7, "bbox": [1, 2, 3, 4], "score": score, **mask}


def drawn(split, folder, count, results, score=0.5):
    """What is given to draw, in the order of the images; the pictures are the images."""
    seen = []
    number = SplitPictures(split, folder, count).draw(
        results, lambda *given: seen.append(given) or given[0], score=score
    )
    assert number == len(seen)
    return seen


def test_images_are_spread_over_the_split_and_drawn_beside_their_objects(split, tmp_path):
    results = {"1:1": [detection(10, 0.5), detection(10, 0.4), detection(11, 0.9)], "1:9": []}
    seen = drawn(split, tmp_path / "shown", 3, results)
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == ["0.png", "2.png", "4.png"]
    image, truth, prediction = seen[0]
    assert (image == pixels(seed=10)).all()
    assert (truth.names, truth.boxes.tolist(), truth.masks) == (["b"], [[0, 0, 20, 20]], None)
    assert np.isnan(truth.scores).all()
    assert prediction["1:1"].boxes.tolist() == [[1, 2, 4, 6]]
    assert prediction["1:1"].names == ["a"]
    assert {len(prediction["1:1"]) for *_, prediction in seen[1:]} == {len(prediction["1:9"])} == {0}


def test_masks_are_drawn_of_detectors_that_have_them(split, tmp_path):
    from rgacli.evaluation.results import encode_masks

    mask = np.zeros((1, 48, 64), bool)
    mask[0, 2:6, 1:4] = True
    results = {"ensemble": [detection(10, 0.9, segmentation=encode_masks(mask)[0])]}
    (_, truth, prediction), *_ = drawn(split, tmp_path / "shown", 99, results)
    assert (prediction["ensemble"].masks == mask).all()
    assert truth.masks.shape == (1, 48, 64)
    assert truth.masks.sum() == pytest.approx(200, abs=20)  # the triangle


def test_images_are_not_overwritten_and_a_picture_is_the_least(split, tmp_path):
    with pytest.raises(UsageError, match=r"would overwrite .*show_dir"):
        SplitPictures(split, tmp_path / "images", 3)
    with pytest.raises(UsageError, match="show_count=0"):
        SplitPictures(split, tmp_path / "shown", 0)
