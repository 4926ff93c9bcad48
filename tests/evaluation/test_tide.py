from collections import Counter

import pytest

from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign
from rgacli.evaluation.tide import ERRORS, costs, error_counts, fates, suspected_labels
from tests.evaluation.coco_samples import REAL_SETS, noisy_detections, random_annotations, shared_annotations

BOX = [100, 100, 40, 40]


def scene(*objects, images=1):
    """Objects (category, box, or with a third part: crowd) on image 1."""
    return {
        "images": [{"id": 10 * (image + 1), "file_name": f"{image}.jpg"} for image in range(images)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
        "annotations": [
            {
                "id": index,
                "image_id": 10,
                "category_id": category,
                "bbox": box,
                "area": 1600,
                "iscrowd": int(bool(crowd)),
            }
            for index, (category, box, *crowd) in enumerate(objects)
        ],
    }


def detection(category, box, score=0.9, image=10):
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def moved(pixels):
    return [100 + pixels, 100, 40, 40]


def judged(annotations, *detections, **options):
    found = fates(annotations, detections, **options)[10]
    return [each.fate for each in found.detections], [each.fate for each in found.objects]


def test_each_error_by_hand():
    truth = scene((3, BOX))
    assert judged(truth, detection(3, BOX)) == (["right"], ["found"])
    assert judged(truth, detection(5, BOX)) == (["Cls"], ["mistaken"])
    assert judged(truth, detection(3, moved(20))) == (["Loc"], ["mistaken"])  # IoU 1/3
    assert judged(truth, detection(5, moved(20))) == (["Both"], ["Miss"])
    assert judged(truth, detection(3, moved(200))) == (["Bkg"], ["Miss"])
    assert judged(truth, detection(3, BOX), detection(3, moved(2), 0.8)) == (["right", "Dupe"], ["found"])
    assert judged(truth) == ([], ["Miss"])


def test_on_an_image_without_objects_all_is_background():
    assert judged(scene(), detection(3, BOX), detection(5, BOX)) == (["Bkg", "Bkg"], [])


def test_what_lies_in_a_crowd_is_ignored_as_is_the_crowd():
    assert judged(scene((3, [0, 0, 400, 400], True)), detection(3, BOX)) == (["ignored"], ["ignored"])


def test_detections_come_by_falling_score_and_below_the_least_they_do_not_count():
    truth = scene((3, BOX))
    detections = detection(3, moved(20), 0.3), detection(3, BOX, 0.2), detection(5, BOX, 0.6)
    assert judged(truth, *detections) == (["Cls", "Loc", "right"], ["found"])
    assert judged(truth, *detections, score=0.3) == (["Cls", "Loc"], ["mistaken"])
    assert judged(truth, *detections, score=0.61) == ([], ["Miss"])


def test_a_fate_tells_what_and_where():
    found = fates(scene((3, BOX)), [detection(5, moved(2), 0.7)])[10]
    [wrong], [missed] = found.detections, found.objects
    assert (wrong.category, wrong.box, wrong.score) == (5, (102, 100, 40, 40), 0.7)
    assert (missed.category, missed.box, missed.score) == (3, (100, 100, 40, 40), None)


def test_more_detections_than_count_are_ignored():
    truth = scene((3, BOX))
    assert judged(truth, detection(3, BOX), detection(3, moved(2), 0.8), max_dets=1)[0] == ["right", "ignored"]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("score", [0, 0.4])
def test_over_images_and_over_bins_the_counts_are_those_of_hotcoco(seed, score):
    annotations = random_annotations(seed)
    detections = noisy_detections(annotations, seed, noise=8)
    kept = [each for each in detections if each["score"] >= score]
    assert_counts(annotations, detections, kept, score)


@pytest.mark.parametrize("name", REAL_SETS)
def test_on_real_annotations_too(name):
    annotations = shared_annotations(name)
    detections = noisy_detections(annotations, seed=3, noise=12)
    assert_counts(annotations, detections, detections, 0)


def assert_counts(annotations, detections, kept, score):
    whole = evaluate(annotations, kept)
    counts = error_counts(annotations, {"a": detections}, score=score)["a"]
    groups = {"all": list(whole.gt_counts), **assign(whole.gt_counts, DEFAULT_BINS)}
    for label, images in groups.items():
        expected = whole.restricted(images).tide()["counts"]
        assert {key: sum(counts[image][key] for image in images) for key in ERRORS} == expected, label
        if label != "all":  # one image or a few at a time, there are as many
            again = error_counts(annotations, {"a": detections}, images, score=score)["a"]
            assert again == {image: counts[image] for image in sorted(images)}


FIRST, SECOND, NOWHERE = [10, 10, 50, 50], [200, 10, 50, 50], [300, 300, 20, 20]
ONES = [detection(3, FIRST, image=image) for image in range(6)]  # 6 of 10 are found
DOUBTED = [*ONES, *(detection(3, [10, 200, 50, 50], 0.95, image) for image in range(3))]


@pytest.mark.parametrize(
    ("detections", "expected"),  # of AP50 and its gains, by tidecv 1.0.1
    [
        (ONES, {"ap": 30.2, "Miss": 69.8}),
        (DOUBTED, {"ap": 20.13, "Bkg": 10.07, "Miss": 46.53}),  # what is left of the first class has an AP below 1
        ([*ONES, detection(5, NOWHERE, 0.1, 0)], {"ap": 30.2, "Miss": 19.8}),  # the second class stays
        ([*ONES, *(detection(3, SECOND, 0.95, i) for i in range(10))], {"ap": 11.32, "Cls": 68.87, "Miss": 7.43}),
        ([*DOUBTED, detection(3, SECOND, 0.95, 0)], {"ap": 18.12, "Cls": 7.46, "Bkg": 7.77, "Miss": 11.88}),
    ],
)
def test_a_class_of_which_nothing_is_found_costs_what_tide_says(detections, expected):
    """Both classes have an object on each of ten images; nothing is detected as the second."""
    truth = scene(*[(category, box) for category, box in ((3, FIRST), (5, SECOND)) for _ in range(10)])
    truth["images"] = [{"id": image, "file_name": f"{image}.jpg"} for image in range(10)]
    for index, entry in enumerate(truth["annotations"]):
        entry["image_id"] = index % 10
    found = costs(evaluate(truth, detections), truth, detections, range(10))
    gains = {key: 100 * found["delta_ap"][key] for key in ERRORS}
    assert 100 * found["ap_base"] == pytest.approx(expected["ap"], abs=0.006)
    assert gains == pytest.approx({key: expected.get(key, 0) for key in ERRORS}, abs=0.006)


def test_where_nothing_is_detected_misses_cost_all_there_is():
    truth = scene((3, BOX), (5, moved(100)))
    assert costs(evaluate(truth, []), truth, [], [10])["delta_ap"]["Miss"] == 1
    whole = [detection(3, BOX), detection(5, moved(100))]
    assert costs(evaluate(truth, whole), truth, whole, [10])["delta_ap"]["Miss"] == 0


def test_fates_and_counts_are_one():
    annotations = random_annotations(2)
    detections = noisy_detections(annotations, 2, noise=8)
    images = [3, 17, 21]
    found = fates(annotations, detections, images)
    assert list(found) == images
    for image, counts in error_counts(annotations, {"a": detections}, images)["a"].items():
        told = Counter(each.fate for each in (*found[image].detections, *found[image].objects))
        assert counts == {key: told[key] for key in ERRORS}


def test_suspected_labels_by_hand():
    truth = scene((3, BOX), (5, moved(100)), images=2)
    suspects = suspected_labels(
        truth,
        [
            detection(5, BOX, 0.9),  # annotated as 3
            detection(5, moved(100), 0.99),  # right
            detection(3, moved(300), 0.95, image=20),  # nothing is annotated
            detection(5, moved(301), 0.94, image=20),  # the same once more
            detection(3, moved(300), 0.7),  # not sure enough
        ],
        score=0.8,
    )
    assert [(each.image, each.what, each.category, each.labelled, each.score) for each in suspects] == [
        (20, "missing annotation", 3, None, 0.95),
        (10, "wrong label", 5, 3, 0.9),
    ]
    assert suspects[0].box == (400, 100, 40, 40)


def test_what_lies_in_a_crowd_is_not_suspected():
    crowd = scene((3, [0, 0, 120, 400], True))
    assert [each.box[0] for each in suspected_labels(crowd, [detection(3, moved(-10)), detection(3, moved(200))])] == [
        300
    ]


def test_suspected_labels_speak_of_the_annotations_own_ids():
    annotations = random_annotations(1)
    detections = noisy_detections(annotations, 1)
    suspects = suspected_labels(annotations, detections, score=0.5)
    assert {each.what for each in suspects} == {"missing annotation", "wrong label"}
    assert [each.score for each in suspects] == sorted((each.score for each in suspects), reverse=True)
    for each in suspects:
        fate = next(
            other
            for other in fates(annotations, detections, [each.image])[each.image].detections
            if (other.box, other.category, other.score) == (each.box, each.category, each.score)
        )
        assert fate.fate in (("Bkg",) if each.what == "missing annotation" else ("Cls", "Loc"))
