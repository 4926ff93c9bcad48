import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rgacli.data.crowdhuman import prepare
from rgacli.data.odgt import load_odgt
from rgacli.evaluation.crowdhuman_metrics import METRICS, evaluate
from tests.data.crowdhuman_files import person, write_odgt

FIRST, SECOND, THIRD = [10, 10, 20, 40], [50, 10, 20, 40], [10, 10, 20, 40]
IGNORED = person([70, 60, 30, 40], tag="mask")
TWO_IMAGES = {"a": [person(FIRST), person(SECOND), IGNORED], "b": [person(THIRD)]}


@pytest.fixture
def truth_of(tmp_path):
    """Makes a prepared dataset of 100x100 px images from their boxes: its COCO annotations, records and odgt file."""

    def make(boxes):
        (tmp_path / "Images").mkdir()
        for name in boxes:
            Image.new("RGB", (100, 100)).save(tmp_path / f"Images/{name}.jpg")
        odgt = tmp_path / "annotation_val.odgt"
        write_odgt(odgt, [{"ID": name, "gtboxes": found} for name, found in boxes.items()])
        prepare(tmp_path)
        annotations = json.loads((tmp_path / "annotations/val.json").read_text())
        return SimpleNamespace(annotations=annotations, records=load_odgt(odgt), odgt=odgt)

    return make


def detection(image, box, score):
    return {"image_id": image, "category_id": 1, "bbox": box, "score": score}


def test_a_case_done_by_hand(truth_of):
    truth = truth_of(TWO_IMAGES)
    detections = [
        detection(1, FIRST, 0.9),  # true
        detection(1, [75, 65, 20, 30], 0.8),  # lies in the box to ignore
        detection(1, [30, 60, 20, 30], 0.7),  # false
        detection(2, THIRD, 0.6),  # true; the second person of image a is missed
    ]
    found = evaluate(truth.annotations, truth.records, detections)
    # By score: true, false, true, of 3 persons in 2 images. Recall 1/3, 1/3, 2/3; precision 1, 1/2, 2/3.
    assert found["AP50"] == pytest.approx(1 / 3 * (1 / 2 + 2 / 3) / 2)
    # False per image 0, 1/2, 1/2; miss rate 2/3, 2/3, 1/3. Seven of the nine reference rates are below 1/2.
    assert found["mMR"] == pytest.approx((2 / 3) ** (7 / 9) * (1 / 3) ** (2 / 9))
    # All detections kept: in a, 1 match of 2 persons and 2 detections that count; in b, 1 of 1 and 1.
    assert found["JI"] == pytest.approx((1 / 3 + 1) / 2, abs=1e-5)
    assert tuple(found) == METRICS


def test_the_jaccard_index_is_that_of_the_best_score_threshold(truth_of):
    truth = truth_of(TWO_IMAGES)
    false = [detection(1, [30, 60, 20, 30], 0.3), detection(2, [60, 60, 20, 30], 0.3)]
    found = evaluate(truth.annotations, truth.records, [*false, detection(1, FIRST, 0.9), detection(2, THIRD, 0.9)])
    assert found["JI"] == pytest.approx((1 / 2 + 1) / 2, abs=1e-5)  # above 0.3: no false ones


def test_a_person_that_is_not_to_count_is_neither_missed_nor_found(truth_of):
    truth = truth_of({"a": [person(FIRST), person(SECOND, extra={"ignore": 1})]})
    seen = evaluate(truth.annotations, truth.records, [detection(1, FIRST, 0.9), detection(1, SECOND, 0.8)])
    unseen = evaluate(truth.annotations, truth.records, [detection(1, FIRST, 0.9)])
    assert seen == pytest.approx(unseen)
    assert (seen["mMR"], seen["JI"]) == pytest.approx((0, 1), abs=1e-5)


def test_a_second_detection_of_a_person_is_false(truth_of):
    truth = truth_of({"a": [person(FIRST), person(SECOND)]})
    detections = [detection(1, FIRST, 0.9), detection(1, FIRST, 0.8), detection(1, SECOND, 0.7)]
    found = evaluate(truth.annotations, truth.records, detections)
    assert found["AP50"] == pytest.approx(1 / 2 * (1 / 2 + 2 / 3) / 2)


def test_only_what_lies_in_the_image_is_compared(truth_of):
    truth = truth_of({"a": [person([80, 0, 60, 50])], "b": [person(FIRST)]})
    found = evaluate(truth.annotations, truth.records, [detection(1, [80, 0, 20, 50], 0.9), detection(2, FIRST, 0.8)])
    assert found["mMR"] == 0  # an IoU of 1/3, were the body not cut off at the border


def test_nothing_found_is_all_missed(truth_of):
    truth = truth_of(TWO_IMAGES)
    assert evaluate(truth.annotations, truth.records, []) == {"mMR": 1, "AP50": 0, "JI": 0}


def test_an_image_without_boxes_has_false_detections_alone(truth_of):
    truth = truth_of({"a": [person(FIRST)], "b": []})
    found = evaluate(truth.annotations, truth.records, [detection(1, FIRST, 0.9), detection(2, FIRST, 0.8)])
    assert found["JI"] == pytest.approx(1, abs=1e-5)  # above 0.8, b has nothing to count
    assert found["mMR"] == 0
    empty = evaluate(truth.annotations, truth.records, [detection(1, FIRST, 0.9)])
    assert found["AP50"] == empty["AP50"]  # the false one comes after all persons are found


def test_without_persons_there_is_nothing_to_measure(truth_of):
    truth = truth_of({"a": [IGNORED]})
    found = evaluate(truth.annotations, truth.records, [detection(1, FIRST, 0.9)])
    assert all(math.isnan(value) for value in found.values())


def test_random_crowds_have_the_numbers_that_mmdets_metric_gives_as_a_whole(truth_of):
    from mmdet.evaluation.metrics import CrowdHumanMetric

    rng = random.Random(0)

    def box(extent=100):
        return [rng.uniform(-10, extent), rng.uniform(-10, extent), rng.uniform(5, 40), rng.uniform(10, 60)]

    boxes = {
        str(image): [
            *(person(box(), extra={"ignore": int(rng.random() < 0.1)}) for _ in range(rng.randint(1, 12))),
            *(person(box(), tag="mask") for _ in range(rng.randint(0, 2))),
        ]
        for image in range(10)
    }
    truth = truth_of(boxes)
    detections = []
    for image, found in enumerate(boxes.values(), start=1):
        for truth_box in found:
            moved = [value + rng.gauss(0, 3) for value in truth_box["fbox"]]
            detections += [detection(image, [*moved[:2], *map(abs, moved[2:])], rng.random())] * (rng.random() < 0.8)
        detections += [detection(image, box(), rng.random() * 0.7) for _ in range(4)]

    results = []
    for image in truth.annotations["images"]:
        rows = [(*d["bbox"], d["score"]) for d in detections if d["image_id"] == image["id"]]
        array = np.array(rows).reshape(-1, 5)
        array[:, 2:4] += array[:, :2]
        results.append(({"ID": image["crowdhuman_id"], "width": 100, "height": 100}, array))
    reference = CrowdHumanMetric(ann_file=str(truth.odgt), num_ji_process=2).compute_metrics(results)
    found = evaluate(truth.annotations, truth.records, detections)
    assert found == pytest.approx({"mMR": reference["mMR"], "AP50": reference["mAP"], "JI": reference["JI"]}, abs=6e-5)
    assert 0.2 < found["mMR"] < 0.95
