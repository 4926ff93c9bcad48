import csv

import numpy as np
import pytest

from rgacli.analysis.calibration.finding import Calibration, collect
from rgacli.analysis.finding import publish
from rgacli.analysis.intervals import ratio
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign, parse_bins
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.dense import crowded, perfect

ANNOTATIONS = random_annotations(0)
RESULTS = {name: noisy_detections(ANNOTATIONS, seed) for seed, name in enumerate(("1:9", "1:1", "ensemble"))}


@pytest.fixture(scope="module")
def found():
    return collect(ANNOTATIONS, RESULTS, DEFAULT_BINS)


def test_by_hand():
    """Of 4 detections of each of two images, 3 and 1 are right."""
    annotations = crowded([4, 4])
    detections = perfect(annotations)
    for detection in (*detections[3:4], *detections[5:]):
        detection["bbox"] = [300, 300, 12, 18]
    row = collect(annotations, {"a": detections}, parse_bins("1-3")).rows[0]
    assert (row.images, row.detections, row.accuracy) == (2, 8, 0.5)
    assert (row.confidence, row.bias, row.ECE) == pytest.approx((0.9, 0.4, 0.4))
    assert (row.bias_low, row.bias_high) == pytest.approx(ratio([0.6, 2.6], [4, 4])[1:])


@pytest.mark.parametrize("name", RESULTS)
def test_curves_and_error_are_those_of_hotcoco(found, name):
    evaluation = evaluate(ANNOTATIONS, RESULTS[name])
    for label, images in {"all": list(evaluation.gt_counts), **assign(evaluation.gt_counts, DEFAULT_BINS)}.items():
        expected = evaluation.restricted(images)._matched.calibration(10, 0.5)
        [row] = [row for row in found.rows if (row.name, row.bin) == (name, label)]
        assert (row.detections, row.ECE) == (expected["num_detections"], pytest.approx(expected["ece"]))
        points = [point for point in found.curves if (point.name, point.bin) == (name, label)]
        ours = [(point.low, point.confidence, point.accuracy, point.detections) for point in points]
        keys = ("bin_lower", "avg_confidence", "avg_accuracy", "count")
        assert ours == [pytest.approx([own[key] for key in keys]) for own in expected["bins"] if own["count"]]
        weights = [point.detections for point in points]
        bias = np.average([point.confidence - point.accuracy for point in points], weights=weights)
        assert row.bias == pytest.approx(bias) == pytest.approx(row.confidence - row.accuracy)


def test_heads_are_compared_on_the_same_images(found):
    rows = {(row.name, row.bin): row for row in found.rows}
    assert [(each.first, each.second, each.bin) for each in found.contrasts] == [
        ("1:1", "1:9", label) for label in ("all", "1-3", "4-7", "8+")
    ]
    for each in found.contrasts:
        assert each.value == pytest.approx(rows["1:1", each.bin].bias - rows["1:9", each.bin].bias)
        assert each.low < each.value < each.high


def test_heads_that_differ_are_told_from_heads_that_do_not(found):
    low = [{**detection, "score": detection["score"] / 2} for detection in RESULTS["1:9"]]
    told = collect(ANNOTATIONS, {"1:1": RESULTS["1:9"], "1:9": low}, ()).conclusion()
    assert told.startswith("on all images 1:1 scores 0.")
    assert "too high" in told
    assert "1:1 minus 1:9 0." in told
    same = collect(ANNOTATIONS, {"1:1": low, "1:9": low}, ()).conclusion()
    assert "1:1 and 1:9 cannot be told apart (0.00, 0.00 to 0.00)" in same


def test_a_perfect_head_that_is_unsure_scores_too_low():
    annotations = crowded([3] * 12)
    assert "a scores 0.10 too low (0.10 to 0.10)" in collect(annotations, {"a": perfect(annotations)}, ()).conclusion()


def test_of_many_heads_the_sentence_tells_the_differences_alone(found):
    several = {f"{run} {name}": RESULTS[name] for run in "abc" for name in ("1:1", "1:9")}
    told = collect(ANNOTATIONS, several, ()).conclusion()
    assert told.count("too") == 0
    assert told.count("1:1") == 3


def test_tables_are_one_per_run_and_one_of_differences(found):
    overall, differences = found.tables()
    assert [row["head"] for row in overall.rows[::4]] == list(RESULTS)
    assert [row["pair"] for row in differences.rows] == ["1:1 − 1:9"] * 4
    [alone] = collect(ANNOTATIONS, {"x": RESULTS["1:1"]}, ()).tables()
    assert alone.title == Calibration.title


@pytest.mark.filterwarnings("error")
def test_figure_and_its_points(tmp_path):
    results = {"$_x^": RESULTS["1:1"], "a/long/path" * 20 + " 1:9": RESULTS["1:9"], "none": []}
    found = collect(ANNOTATIONS, results, parse_bins("1-5,500+"))
    publish(found, tmp_path / "calibration.png")
    with (tmp_path / "calibration.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for row in found.rows:
        own = [int(line["detections"]) for line in lines if (line["name"], line["bin"]) == (row.name, row.bin)]
        assert sum(own) == row.detections


def test_without_detections_there_is_nothing_to_draw(tmp_path):
    found = collect(ANNOTATIONS, {"a": []}, DEFAULT_BINS)
    assert found.conclusion() == "no image has detections"
    with pytest.raises(UsageError, match="nothing to draw"):
        publish(found, tmp_path / "calibration.png")


def test_scores_have_to_be_probabilities():
    with pytest.raises(DataError, match="mine: 1 of 1 detections have a score outside"):
        collect(ANNOTATIONS, {"mine": [{**RESULTS["1:1"][0], "score": 12}]}, ())


def test_each_set_of_detections_is_reported():
    seen = []
    collect(ANNOTATIONS, RESULTS, (), progress=lambda *report: seen.append(report))
    assert seen == [("comparing", done, 3) for done in (1, 2, 3)]
