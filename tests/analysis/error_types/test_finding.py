import csv
import math

import pytest

from rgacli.analysis.error_types.finding import collect
from rgacli.analysis.finding import publish
from rgacli.errors import DataError, UsageError
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign, parse_bins
from rgacli.evaluation.tide import ERRORS, costs
from tests.evaluation.coco_samples import noisy_detections, random_annotations
from tests.support.dense import crowded, perfect

ANNOTATIONS = random_annotations(0)
RESULTS = {name: noisy_detections(ANNOTATIONS, seed, noise=8) for seed, name in enumerate(("1:9", "1:1", "ensemble"))}


@pytest.fixture(scope="module")
def found():
    return collect(ANNOTATIONS, RESULTS, DEFAULT_BINS, score=0.4)


@pytest.mark.parametrize("name", RESULTS)
def test_costs_are_of_all_detections_and_counts_of_those_that_score_enough(found, name):
    whole = evaluate(ANNOTATIONS, RESULTS[name])
    strong = evaluate(ANNOTATIONS, [each for each in RESULTS[name] if each["score"] >= 0.4])
    for label, images in {"all": list(whole.gt_counts), **assign(whole.gt_counts, DEFAULT_BINS)}.items():
        told = costs(whole, ANNOTATIONS, RESULTS[name], images)
        counts = strong.restricted(images).tide()["counts"]
        rows = [row for row in found.rows if (row.name, row.bin) == (name, label)]
        assert [row.error for row in rows] == list(ERRORS)
        for row in rows:
            assert (row.AP50, row.costs) == (told["ap_base"], told["delta_ap"][row.error])
            assert (row.count, row.rate) == (counts[row.error], pytest.approx(100 * counts[row.error] / row.objects))
            assert 0 <= row.low <= row.rate <= row.high


def test_heads_are_compared_error_by_error(found):
    rates = {(row.name, row.bin, row.error): row.rate for row in found.rows}
    assert len(found.contrasts) == 4 * len(ERRORS)
    for each in found.contrasts:
        assert (each.first, each.second) == ("1:1", "1:9")
        own, other = (rates[name, each.bin, each.error] for name in ("1:1", "1:9"))
        assert each.value == pytest.approx(own - other)


def test_the_sentence_tells_what_is_traded():
    annotations = crowded([2] * 12)
    careless, prudent = perfect(annotations), perfect(annotations)[::2]
    for image in range(1, 13):
        careless += [{"image_id": image, "category_id": 1, "bbox": [400, 400, 9, 9], "score": 0.95}]
    told = collect(annotations, {"1:1": careless, "1:9": prudent}, ()).conclusion()
    assert told.startswith(
        "on all images 1:1 against 1:9, per 100 objects: 50 more Bkg (50 to 50), 50 fewer Miss (50 to 50); "
        "what costs most AP50, in points: 1:1 Bkg ("
    )
    assert "1:9 Miss (50." in told or "1:9 Miss (49." in told
    same = collect(annotations, {"1:1": prudent, "1:9": prudent}, ()).conclusion()
    assert same.startswith("on all images 1:1 and 1:9 make the same errors within the intervals; ")


def test_of_one_image_nothing_is_compared_and_scores_have_to_be_probabilities():
    annotations = crowded([6])
    told = collect(annotations, {"x": [], "y": perfect(annotations)}, ()).conclusion()
    assert told.startswith("on all images x and y cannot be compared: that takes several images; ")
    percent = [{**each, "score": 90.0} for each in perfect(annotations)]
    with pytest.raises(DataError, match=r"x: 6 of 6 detections have a score outside \[0, 1\]"):
        collect(annotations, {"x": percent}, ())


def test_what_each_image_has_is_kept_for_whoever_wants_to_see_it(found):
    for name, by_image in found.by_image.items():
        for error in ERRORS:
            [row] = [row for row in found.rows if (row.name, row.bin, row.error) == (name, "all", error)]
            assert sum(counts[error] for counts in by_image.values()) == row.count


def test_tables_are_what_errors_cost_how_many_there_are_and_how_heads_differ(found):
    costs, rates, differences = found.tables()
    assert list(costs.columns) == ["head", "bin", "AP50", *ERRORS]
    assert [(row["head"], row["bin"]) for row in rates.rows[:5]] == [
        *(("1:9", label) for label in ("all", "1-3", "4-7", "8+")),
        ("1:1", "all"),
    ]
    assert "±" in differences.rows[0]["Bkg"]


@pytest.mark.filterwarnings("error")
def test_figure_and_its_points(tmp_path):
    found = collect(ANNOTATIONS, {"$_x^": RESULTS["1:1"], "none": []}, parse_bins("1-3,500+"))
    publish(found, tmp_path / "errors.png", "dark")
    with (tmp_path / "errors.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["error"] for line in lines] == list(ERRORS) * 4  # of two names: all images, and one bin of two
    assert (tmp_path / "errors.svg").is_file()


def test_a_detector_without_errors():
    annotations = crowded([1, 2])
    assert collect(annotations, {"a": perfect(annotations)}, ()).conclusion() == "no head makes any error"


def test_images_without_objects_have_no_ap_and_nothing_to_draw(tmp_path):
    annotations = crowded([0, 0])
    found = collect(annotations, {"a": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.9}]}, ())
    assert [row.count for row in found.rows] == [0, 0, 0, 0, 1, 0]
    assert all(math.isnan(row.AP50) and math.isnan(row.costs) for row in found.rows)
    assert found.conclusion() == "no image has objects"
    with pytest.raises(UsageError, match="nothing to draw"):
        publish(found, tmp_path / "errors.png")
