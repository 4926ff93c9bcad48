import csv
import math

import numpy as np
import pytest

from rgacli.analysis.count_error.finding import collect
from rgacli.analysis.count_error.right_score import SCORES, numbers_from, percentiles, right_score
from rgacli.analysis.finding import publish
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.gt_bins import DEFAULT_BINS, parse_bins
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.dense import crowded

ANNOTATIONS = random_annotations(0, images=60)
RESULTS = {name: noisy_detections(ANNOTATIONS, seed) for seed, name in enumerate(("1:9", "1:1", "ensemble"))}


def detected(*scores):
    """Detections of these scores, on images 1, 2, …"""
    return [
        {"image_id": image, "category_id": 1, "bbox": [0, 0, 9, 9], "score": score}
        for image, own in enumerate(scores, start=1)
        for score in own
    ]


def row_of(found, label="all"):
    [row] = [row for row in found.rows if row.bin == label]
    return row


def test_by_hand():
    """Three images with 1, 1 and 4 objects."""
    annotations = crowded([1, 1, 4])
    detections = detected([0.9, 0.5], [0.8, 0.3], [0.7, 0.6, 0.2])
    found = collect(annotations, {"a": detections}, parse_bins("1-3,4+"), score=0.5, bootstrap=20)
    row = row_of(found)
    assert (row.images, row.objects, row.detections) == (3, 6, 5)
    assert (row.error, row.off) == pytest.approx((-1 / 3, (1 + 0 + 2) / 3))
    assert (row.right_score, row.right_off) == (0.3, pytest.approx((1 + 1 + 2) / 3))
    few, many = row_of(found, "1-3"), row_of(found, "4+")
    assert (few.error, few.right_score, few.right_off) == (0.5, 0.8, 0)
    assert (many.error, many.objects) == (-2, 4)
    assert math.isnan(many.right_score)  # 3 detections, 4 objects
    assert math.isnan(many.error_low)  # of one image


def test_of_each_image_only_so_many_are_counted():
    detections = detected([0.9, 0.5, 0.7], [0.8], [])
    numbers = [
        row_of(collect(crowded([1, 1, 4]), {"a": detections}, DEFAULT_BINS, score=0.1, max_dets=most)).detections
        for most in (None, 1, 2, 3)
    ]
    assert numbers == [4, 2, 3, 4]
    found = collect(crowded([1, 1, 4]), {"a": detections}, DEFAULT_BINS, score=0.6, max_dets=2)
    assert row_of(found).detections == 3  # those of the highest scores


@pytest.mark.parametrize("name", RESULTS)
def test_from_the_right_score_on_there_are_as_many_detections_as_objects(name):
    found = collect(ANNOTATIONS, {name: RESULTS[name]}, DEFAULT_BINS, bootstrap=50)
    objects = {image["id"]: 0 for image in ANNOTATIONS["images"]}
    for entry in ANNOTATIONS["annotations"]:
        objects[entry["image_id"]] += not entry["iscrowd"]
    bins = {"all": range(100), "1-3": range(1, 4), "4-7": range(4, 8), "8+": range(8, 100)}
    for row in found.rows:
        inside = [each for each in RESULTS[name] if objects[each["image_id"]] in bins[row.bin]]
        assert row.detections == sum(each["score"] >= 0.3 for each in inside)
        assert math.isnan(row.right_score) == (len(inside) < row.objects)
        if math.isnan(row.right_score):
            continue
        assert sum(each["score"] > row.right_score for each in inside) < row.objects
        assert sum(each["score"] >= row.right_score for each in inside) >= row.objects
        assert row.right_low <= row.right_score <= row.right_high


def test_curves_are_the_errors_of_counting_anew():
    found = collect(ANNOTATIONS, {"a": RESULTS["1:1"]}, (), bootstrap=0)
    objects = sum(not entry["iscrowd"] for entry in ANNOTATIONS["annotations"])
    for point in found.curves:
        number = sum(each["score"] >= point.score for each in RESULTS["1:1"])
        assert point.error == pytest.approx((number - objects) / objects)
        assert point.low <= point.error <= point.high


def test_numbers_of_each_image_from_each_score_on():
    numbers = numbers_from(np.array([1, 0.3, 0.29, 0]), np.array([0, 0, 2, 2]), 3)
    at = {score: numbers[:, SCORES.tolist().index(score)].tolist() for score in (0, 0.29, 0.3, 0.31, 1)}
    assert at == {0: [2, 0, 2], 0.29: [2, 0, 1], 0.3: [2, 0, 0], 0.31: [1, 0, 0], 1: [1, 0, 0]}


def test_samples_of_a_right_score_are_of_whole_images():
    """The right score is 0.9 of one kind of image and 0.4 of the other: samples lie in between, or at either."""
    scores, owners = np.array([0.9] * 10 + [0.4] * 10), np.arange(20)
    images, objects = np.arange(20), np.ones(20, dtype=int)
    found = right_score(scores, owners, images, objects, 100, np.random.default_rng(0))
    assert found.value == 0.4
    assert set(found.samples) == {0.4}  # all are counted in every sample: as many as it has images
    assert percentiles(found.samples) == (0.4, 0.4)
    objects[:10] = 0
    found = right_score(scores, owners, images, objects, 100, np.random.default_rng(0))
    assert found.value == 0.9
    assert set(found.samples) == {0.4, 0.9}


def test_heads_are_compared_by_the_same_samples_and_bins_by_each_head():
    found = collect(ANNOTATIONS, RESULTS, parse_bins("1-5,6+"), bootstrap=50)
    rights = {(row.name, row.bin): row.right_score for row in found.rows}
    for each in found.contrasts:
        assert each.value == pytest.approx(rights[each.first, each.first_bin] - rights[each.second, each.second_bin])
    assert [(each.first, each.first_bin, each.second, each.second_bin) for each in found.contrasts] == [
        *((name, "6+", name, "1-5") for name in RESULTS),
        *(("1:1", label, "1:9", label) for label in ("all", "1-5", "6+")),
    ]
    twice = collect(ANNOTATIONS, {"a": RESULTS["1:1"], "b": RESULTS["1:1"]}, (), bootstrap=50)
    [same] = [each for each in twice.contrasts if each.first != each.second]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert "the right scores of a and b cannot be told apart on all images" in twice.conclusion()


def test_sentences_tell_too_many_from_too_few_and_where_it_cannot_be_told():
    annotations = crowded([2] * 12)
    many, few = detected(*[[0.9] * 5] * 12), detected(*[[0.9] + [0.1] * 3] * 12)
    told = collect(annotations, {"x": many, "y": few}, (), bootstrap=10).conclusion()
    assert "from a score of 0.3 on x counts 3.0 objects too many an image (3.0 to 3.0; right from 0.90 on)" in told
    assert "y counts 1.0 objects too few an image (1.0 to 1.0; right from 0.10 on)" in told
    mixed = detected(*[[0.9] * (index % 5) for index in range(12)])
    assert "z counts right within its interval" in collect(annotations, {"z": mixed}, ()).conclusion()
    lacking = collect(annotations, {"z": detected([0.9])}, ()).conclusion()
    assert "never as many" in lacking
    crossed = detected(*[[0.8] * 2] * 12, *[[0.4] * 9] * 12)
    told = collect(crowded([2] * 12 + [9] * 12), {"x": crossed}, DEFAULT_BINS, bootstrap=10).conclusion()
    assert "x's right score is lower in images with 8+ objects than with 1-3 (−0.40, −0.40 to −0.40)" in told


def test_what_is_unknown_is_left_out_of_sentences_or_called_so():
    found = collect(crowded([2]), {"a": [], "b": detected([0.9, 0.8, 0.7])}, DEFAULT_BINS)
    assert found.conclusion() == (
        "from a score of 0.3 on a counts 2.0 objects too few an image (interval unknown; never as many), "
        "b counts 1.0 objects too many an image (interval unknown; right from 0.80 on)"
    )


def test_without_bootstrap_right_scores_have_no_intervals():
    found = collect(ANNOTATIONS, RESULTS, (), bootstrap=0)
    assert all(math.isnan(row.right_low) and row.right_score > 0 for row in found.rows)
    assert [len(table.rows) for table in found.tables()] == [3, 1]


@pytest.mark.filterwarnings("error")
def test_figure_and_its_points(tmp_path):
    results = {"$_x^": RESULTS["1:1"], "b 1:9": RESULTS["1:9"], "none": []}
    found = collect(ANNOTATIONS, results, parse_bins("1-5"), bootstrap=10)
    publish(found, tmp_path / "count_error.png")
    with (tmp_path / "count_error.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["name"], line["bin"]) for line in lines} == {
        (name, label) for name in ("$_x^", "b 1:9") for label in ("all", "1-5")
    }


def test_without_detections_there_is_nothing_to_draw(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        publish(collect(ANNOTATIONS, {"a": []}, ()), tmp_path / "count_error.png")


def test_scores_have_to_be_probabilities():
    with pytest.raises(DataError, match="mine: 1 of 1 detections have a score outside"):
        collect(ANNOTATIONS, {"mine": detected([12])}, ())
