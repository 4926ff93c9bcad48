import math
import random
from collections import Counter

import hotcoco
import numpy as np
import pytest

from rgacli.evaluation.coco_metrics import METRICS, difference, evaluate, interval
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign, parse_bins
from tests.evaluation.coco_samples import (
    REAL_SETS,
    noisy_detections,
    pycocotools_metrics,
    random_annotations,
    shared_annotations,
    with_masks,
)
from tests.support.dense import crowded, perfect


def assert_same(ours, theirs):
    assert list(ours) == list(METRICS)
    assert ours == pytest.approx(theirs, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_random_sets_and_all_their_bins_agree_with_pycocotools(seed):
    annotations = random_annotations(seed)
    detections = noisy_detections(annotations, seed)
    evaluation = evaluate(annotations, detections)
    assert_same(evaluation.overall, pycocotools_metrics(annotations, detections))

    bins = parse_bins("1,2-3,4-7,8+")
    groups = assign(evaluation.gt_counts, bins)
    for label, metrics in evaluation.by_bin(bins).items():
        assert_same(metrics, pycocotools_metrics(annotations, detections, groups[label]))


def test_restricted_to_images_it_is_what_slices_say():
    annotations = random_annotations(3)
    evaluation = evaluate(annotations, noisy_detections(annotations, 3))
    for label, images in assign(evaluation.gt_counts, DEFAULT_BINS).items():
        restricted = evaluation.restricted(images)
        assert restricted.gt_counts == {image: evaluation.gt_counts[image] for image in images}
        assert_same(restricted.overall, evaluation.by_bin(DEFAULT_BINS)[label])
        assert interval(restricted, samples=5) == pytest.approx(interval(evaluation, images, samples=5))


@pytest.mark.parametrize("number", [1, 3, 6])
def test_where_few_images_have_objects_no_interval_is_known(number):
    """Some samples have none of them: a perfect detector's AP would lie between 0 and 1."""
    annotations = crowded([2] * number + [0] * 20)
    evaluation, nothing = evaluate(annotations, perfect(annotations)), evaluate(annotations, [])
    value, *ends = difference(nothing, evaluation)
    assert value == pytest.approx(1)
    assert np.isnan(ends).all()
    assert np.isnan(interval(evaluation)).all()
    alone = list(evaluation.gt_counts)[:number]
    assert number == 1 or interval(evaluation, alone) == pytest.approx((1, 1))  # of these, each sample has some


def test_where_nearly_all_images_have_objects_an_interval_is_known():
    """Of 5 images of which 4 have objects, 1 in 3,000 samples has none."""
    annotations = crowded([2] * 4 + [0])
    assert interval(evaluate(annotations, perfect(annotations))) == pytest.approx((1, 1))


def test_a_difference_and_its_interval_lie_within_what_ap_can_differ_by():
    annotations = crowded([1] * 8 + [0] * 8)
    found = difference(evaluate(annotations, perfect(annotations)[:4]), evaluate(annotations, perfect(annotations)))
    assert -1 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("name", REAL_SETS)
def test_real_sets_and_all_their_bins_agree_with_pycocotools(name):
    annotations = shared_annotations(name)
    detections = noisy_detections(annotations, seed=3)
    evaluation = evaluate(annotations, detections)
    assert_same(evaluation.overall, pycocotools_metrics(annotations, detections))
    groups = assign(evaluation.gt_counts, DEFAULT_BINS)
    for label, metrics in evaluation.by_bin(DEFAULT_BINS).items():
        assert_same(metrics, pycocotools_metrics(annotations, detections, groups[label]))


@pytest.mark.parametrize("offset", [2**53, 2**80, -1000])
def test_ids_of_any_size_are_told_apart(offset):
    annotations = random_annotations(4)
    detections = noisy_detections(annotations, 4)
    expected = evaluate(annotations, detections)
    for entry in (*annotations["annotations"], *detections):
        entry["image_id"], entry["category_id"] = offset + 3 * entry["image_id"], offset + 5 * entry["category_id"]
    for image in annotations["images"]:
        image["id"] = offset + 3 * image["id"]
    for category in annotations["categories"]:
        category["id"] = offset + 5 * category["id"]
    found = evaluate(annotations, detections)
    assert found.overall == pytest.approx(expected.overall, nan_ok=True)
    assert found.by_bin(DEFAULT_BINS)["4-7"] == pytest.approx(expected.by_bin(DEFAULT_BINS)["4-7"], nan_ok=True)
    assert interval(found, samples=5) == pytest.approx(interval(expected, samples=5))


def test_objects_of_images_or_categories_that_are_not_listed_do_not_count():
    annotations = random_annotations(4)
    detections = noisy_detections(annotations, 4)
    expected = evaluate(annotations, detections).overall
    strays = [{**entry, key: 99} for entry in annotations["annotations"][:3] for key in ("image_id", "category_id")]
    annotations["annotations"] += strays
    assert evaluate(annotations, detections).overall == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_masks_agree_with_pycocotools(seed):
    annotations = random_annotations(seed, images=15)
    detections = noisy_detections(annotations, seed)
    with_masks(annotations, detections)
    found = evaluate(annotations, detections, masks=True).overall
    assert_same(found, pycocotools_metrics(annotations, detections, iou_type="segm"))
    assert found["AP"] != evaluate(annotations, detections).overall["AP"]
    assert evaluate(annotations, [], masks=True).overall["AP"] == 0


DENSE = [1, 99, 100, 101, 150, 300]


@pytest.mark.parametrize("classes", [1, 3])
def test_a_perfect_detector_has_an_ap_of_1_in_every_bin_however_dense(classes):
    annotations = crowded(DENSE, classes)
    evaluation = evaluate(annotations, perfect(annotations))
    bins = parse_bins(",".join(map(str, DENSE)))
    for metrics in (evaluation.overall, *evaluation.by_bin(bins).values()):
        assert [metrics[name] for name in ("AP", "AP50", "AP75", "APs")] == pytest.approx([1] * 4)
    assert interval(evaluation, samples=3) == pytest.approx((1, 1))


def test_by_cocos_own_number_it_has_what_the_first_100_objects_of_an_image_are():
    annotations = crowded(DENSE)
    evaluation = evaluate(annotations, perfect(annotations), max_dets=100)
    bins = {**evaluation.by_bin(parse_bins("1-100,101,150,300")), **evaluation.by_bin(parse_bins("101+"))}
    # Of 101 recall thresholds, those up to 100/n are reached; in 101+, up to 300/551.
    expected = {"1-100": 1, "101": 100 / 101, "150": 67 / 101, "300": 34 / 101, "101+": 55 / 101}
    assert {label: metrics["AP"] for label, metrics in bins.items()} == pytest.approx(expected)
    crowd = evaluate(annotations | {"info": {"dataset": "crowdhuman"}}, perfect(annotations))
    assert crowd.overall["AP"] == pytest.approx(1)


@pytest.mark.parametrize("max_dets", [10, 120])
@pytest.mark.parametrize("classes", [1, 3])
def test_whatever_number_counts_agrees_with_pycocotools(classes, max_dets):
    annotations = crowded([2, 130], classes)
    detections = noisy_detections(annotations, 2, noise=2)
    assert max(Counter(detection["image_id"] for detection in detections).values()) > 120
    found = evaluate(annotations, detections, max_dets=max_dets)
    assert_same(found.overall, pycocotools_metrics(annotations, detections, max_dets=max_dets))
    in_bin = pycocotools_metrics(annotations, detections, [2], max_dets=max_dets)
    assert_same(found.by_bin(parse_bins("101+"))["101+"], in_bin)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_subsets_of_a_few_images_agree_with_pycocotools(size):
    annotations = random_annotations(8)
    detections = noisy_detections(annotations, 8)
    evaluation = evaluate(annotations, detections)
    images = [image for image, count in evaluation.gt_counts.items() if count][:size]
    assert_same(evaluation.on({"few": images})["few"], pycocotools_metrics(annotations, detections, images))


def test_no_detections_and_images_without_detections():
    annotations = random_annotations(1)
    assert_same(evaluate(annotations, []).overall, pycocotools_metrics(annotations, []))
    half = [entry for entry in noisy_detections(annotations, 1) if entry["image_id"] % 2]
    assert_same(evaluate(annotations, half).overall, pycocotools_metrics(annotations, half))


def test_where_there_are_no_objects_there_is_no_ap():
    annotations = {**random_annotations(2), "annotations": []}
    evaluation = evaluate(annotations, [])
    assert all(map(math.isnan, evaluation.overall.values()))
    assert all(map(math.isnan, evaluation.by_bin(DEFAULT_BINS)["8+"].values()))
    assert all(map(math.isnan, interval(evaluation)))
    assert all(map(math.isnan, interval(evaluation, [])))


def test_one_matching_pass_serves_all_bins_and_samples(monkeypatch):
    annotations = random_annotations(3)
    passes = []

    class Counting:
        """Stands in for hotcoco.COCOeval, which cannot be subclassed, until it has matched."""

        def __new__(cls, truth, found, iou_type):
            passes.append(len(found.anns))
            return original(truth, found, iou_type)

    original = hotcoco.COCOeval
    monkeypatch.setattr(hotcoco, "COCOeval", Counting)
    detections = noisy_detections(annotations, 3)
    evaluation = evaluate(annotations, detections)
    _ = evaluation.overall, evaluation.by_bin(DEFAULT_BINS)
    for images in assign(evaluation.gt_counts, DEFAULT_BINS).values():
        interval(evaluation, images, samples=5)
    assert passes == [len(detections), 0]  # the second one is the empty set that intervals are taken against


def test_intervals_leave_the_metrics_as_they_were():
    annotations = random_annotations(4)
    detections = noisy_detections(annotations, 4)
    fresh, used = evaluate(annotations, detections), evaluate(annotations, detections)
    groups = assign(used.gt_counts, DEFAULT_BINS)
    first = interval(used, groups["1-3"], samples=20)
    difference(used, used, groups["8+"], samples=2)
    assert_same(used.overall, fresh.overall)
    assert_same(used.by_bin(DEFAULT_BINS)["4-7"], fresh.by_bin(DEFAULT_BINS)["4-7"])
    assert interval(used, samples=20) == interval(fresh, samples=20)
    assert interval(used, groups["1-3"], samples=20) == first


@pytest.mark.parametrize("label", ["1-3", "8+"])
def test_interval_is_as_wide_as_the_textbook_bootstrap(label):
    """hotcoco counts an image that is drawn twice once, which makes its own intervals 0.76 times as wide."""
    annotations = random_annotations(5, images=120, categories=(1, 2))
    detections = noisy_detections(annotations, 5)
    evaluation = evaluate(annotations, detections)
    images = assign(evaluation.gt_counts, DEFAULT_BINS)[label]
    low, high = interval(evaluation, images, samples=300)

    rng = random.Random(0)
    resampled = [
        evaluate(*drawn(annotations, detections, rng.choices(images, k=len(images)))).overall["AP"] for _ in range(200)
    ]
    textbook = 2 * 1.96 * np.std(resampled, ddof=1)
    assert 0.88 < (high - low) / textbook < 1.14


def drawn(annotations, detections, images):
    """The dataset of these images, each under a new id as often as it stands in `images`."""

    def copies(entries):
        by_image = {}
        for entry in entries:
            by_image.setdefault(entry["image_id"], []).append(entry)
        return [{**entry, "image_id": new} for new, old in enumerate(images) for entry in by_image.get(old, [])]

    sample = {
        "images": [{"id": new} for new in range(len(images))],
        "categories": annotations["categories"],
        "annotations": copies(annotations["annotations"]),
    }
    return sample, copies(detections)


def test_interval_holds_ap_lies_in_0_1_and_repeats_with_its_seed():
    annotations = random_annotations(6)
    evaluation = evaluate(annotations, noisy_detections(annotations, 6))
    for images in [None, *assign(evaluation.gt_counts, DEFAULT_BINS).values()]:
        low, high = interval(evaluation, images, samples=50, seed=7)
        ap = evaluation.on({"": images or list(evaluation.gt_counts)})[""]["AP"]
        assert 0 <= low < ap < high <= 1
        assert interval(evaluation, images, samples=50, seed=7) == (low, high)
    assert interval(evaluation, samples=50, seed=1000) != interval(evaluation, samples=50, seed=7)


@pytest.mark.parametrize("samples", [0, 1])
def test_too_few_samples_give_no_interval(samples):
    annotations = random_annotations(7)
    evaluation = evaluate(annotations, noisy_detections(annotations, 7))
    assert all(map(math.isnan, interval(evaluation, samples=samples)))


def test_one_image_has_no_interval():
    annotations = random_annotations(7)
    evaluation = evaluate(annotations, noisy_detections(annotations, 7))
    crowded = max(evaluation.gt_counts, key=evaluation.gt_counts.get)
    assert all(map(math.isnan, interval(evaluation, [crowded])))
    value, low, high = difference(evaluation, evaluation, [crowded])
    assert value == 0
    assert math.isnan(low)
    assert math.isnan(high)


def test_difference_is_of_ap_and_paired():
    annotations = random_annotations(9)
    coarse = evaluate(annotations, noisy_detections(annotations, 9, noise=9))
    fine = evaluate(annotations, noisy_detections(annotations, 9, noise=2))
    value, low, high = difference(coarse, fine)
    assert value == pytest.approx(fine.overall["AP"] - coarse.overall["AP"])
    assert 0 < low < value < high
    assert difference(fine, coarse) == pytest.approx((-value, -high, -low))
    assert difference(fine, fine) == (0, 0, 0)

    images = assign(fine.gt_counts, DEFAULT_BINS)["8+"]
    in_bin = [evaluation.by_bin(DEFAULT_BINS)["8+"]["AP"] for evaluation in (coarse, fine)]
    assert difference(coarse, fine, images, samples=5).value == pytest.approx(in_bin[1] - in_bin[0])


def test_stdout_stays_clean(capfd):
    annotations = random_annotations(10)
    evaluation = evaluate(annotations, noisy_detections(annotations, 10))
    _ = evaluation.overall, evaluation.by_bin(DEFAULT_BINS), evaluate(annotations, []).overall
    interval(evaluation, samples=5)
    assert capfd.readouterr() == ("", "")


def test_confusion_tells_what_was_found_for_what():
    classes = [{"id": 5, "name": "cat"}, {"id": 3, "name": "dog"}]
    dog, cat, missed = ([0, 0, 10, 10], 3), ([20, 0, 10, 10], 5), ([40, 0, 10, 10], 5)
    annotations = {
        "images": [{"id": 1}],
        "categories": classes,
        "annotations": [
            {"image_id": 1, "bbox": box, "category_id": category, "area": 100} for box, category in (dog, cat, missed)
        ],
    }
    found = [(dog[0], 3, 0.9), (cat[0], 3, 0.8), ([80, 0, 10, 10], 5, 0.7), (missed[0], 5, 0.2)]
    evaluation = evaluate(
        annotations,
        [{"image_id": 1, "bbox": box, "category_id": category, "score": score} for box, category, score in found],
    )
    assert evaluation.classes == ("dog", "cat")
    assert evaluation.confusion(0.3).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert evaluation.confusion(0.1).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
