import math
from dataclasses import replace

import pytest

from rgacli.analysis.accuracy.rows import Row
from rgacli.evaluation.coco_metrics import difference, evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign
from rgacli.reporting.answers import Evidence, answers
from tests.evaluation.coco_samples import noisy_detections, random_annotations

TRUTH = random_annotations(0, images=120)
GOOD, POOR, OTHER = (
    evaluate(TRUTH, noisy_detections(TRUTH, seed, noise=noise)) for seed, noise in ((1, 1), (2, 12), (3, 2))
)
PARALLEL = Evidence({"1:1": GOOD, "1:9": POOR, "ensemble": OTHER}, DEFAULT_BINS, oracle=GOOD, samples=50)


def test_there_are_five_whatever_is_known():
    for evidence in (PARALLEL, Evidence({"1:3": GOOD}, DEFAULT_BINS), Evidence({"detector": GOOD}, DEFAULT_BINS)):
        assert len(answers(evidence)) == 5
        assert "nan" not in " ".join(answers(evidence))


def test_numbers_are_differences_on_the_same_images():
    images = assign(GOOD.gt_counts, DEFAULT_BINS)["8+"]
    assert len(images) >= 10
    expected = difference(GOOD, OTHER, images, samples=50)
    assert f"in images with 8+ objects {expected.value:+.3f}".replace("-", "−") in answers(PARALLEL)[0]
    expected = difference(GOOD, POOR, images, samples=50)
    assert f"{expected.value:+.3f}".replace("-", "−") in answers(PARALLEL)[1]
    expected = difference(OTHER, GOOD, samples=50)
    assert f"{expected.value:+.3f}".replace("-", "−") in answers(PARALLEL)[2]


def test_what_is_within_its_interval_is_said_to_be():
    same = Evidence({"1:1": GOOD, "1:9": GOOD, "ensemble": GOOD}, DEFAULT_BINS, oracle=GOOD, samples=50)
    assert all("within its interval" in answer for answer in answers(same)[:3])
    clear = Evidence({"1:1": GOOD, "1:9": POOR, "ensemble": GOOD}, DEFAULT_BINS, samples=50)
    assert "within" not in answers(clear)[1]


def test_another_detector_is_what_the_ensemble_is_compared_with():
    assert "against its better head 1:1" in answers(PARALLEL)[0]
    found = answers(replace(PARALLEL, baseline=("plain", POOR)))[0]
    assert "against plain" in found
    assert "better head" not in found


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ((POOR, POOR, GOOD), "keep 1:1 and 1:9"),
        ((GOOD, POOR, POOR), "one head at 1:1"),
        ((GOOD, GOOD, GOOD), "nothing that these images can tell"),
    ],
)
def test_ratios_are_recommended_by_what_is_beyond_its_interval(heads, words):
    variants = dict(zip(("1:1", "1:9", "ensemble"), heads, strict=True))
    assert words in answers(Evidence(variants, DEFAULT_BINS, samples=50))[4]


def test_where_one_head_is_the_better_everywhere_a_nearer_ratio_is_named():
    found = answers(Evidence({"1:1": GOOD, "1:9": POOR, "ensemble": GOOD}, DEFAULT_BINS, samples=50))[4]
    assert "such as 1:3" in found
    same = answers(Evidence({"1:1": GOOD, "1:9": GOOD, "ensemble": GOOD}, DEFAULT_BINS, samples=50))[4]
    assert "such as" not in same


def test_heads_of_one_ratio_differ_by_no_ratio():
    alike = Evidence({"1:1": GOOD, "1:1#2": POOR, "ensemble": GOOD}, DEFAULT_BINS, samples=50)
    assert "cannot be told from heads of one ratio, 1:1 and 1:1#2" in " ".join(answers(alike))
    assert "such as" not in answers(alike)[4]


def test_a_single_head_that_is_better_is_above_the_ensemble():
    told = answers(Evidence({"1:1": GOOD, "1:9": POOR, "ensemble": POOR}, DEFAULT_BINS, samples=50))[4]
    assert "one head at 1:1, the best on these images: above the ensemble of 1:1 and 1:9 by +" in told


def row(**given):
    numbers = dict(early=52.0, late=90.0, whole=80.0, compared=40, difference=0.1, low=0.0, high=0.2)
    early = dict(early_difference=3.25, early_low=1.0, early_high=5.5)
    return Row(**{"run": "rga", "head": "mean", "on": "positives", "baseline": "plain", **numbers, **early, **given})


def test_rga_is_told_by_accuracies_on_positives_early_on():
    plain = row(run="plain", baseline=None)
    found = answers(replace(PARALLEL, accuracy=[row(), plain, row(on="negatives", early_difference=-9)]))[3]
    assert "+3.2 points (95 %: +1.0 to +5.5)" in found
    found = answers(replace(PARALLEL, accuracy=[row(early_low=-1), plain]))[3]
    assert "within its interval (95 %: −1.0 to" in found
    found = answers(replace(PARALLEL, accuracy=[row(early_low=math.nan, early_high=math.nan), plain]))[3]
    assert "(no interval)" in found


def test_what_other_heads_bring_is_not_said_of_rga():
    accuracy = [row(head="1:3"), row(head="1:9", baseline=None), row(run="plain", head="1:3", baseline=None)]
    assert "cannot be told" in answers(replace(PARALLEL, accuracy=accuracy))[3]
    for rows in ([accuracy[0], accuracy[2]], [accuracy[2], accuracy[0]]):  # whichever was named first
        told = answers(replace(PARALLEL, accuracy=rows))[3]
        assert told.startswith("With RGA, rga has an accuracy on positives of 52.0 % in the first 20 %")
        assert "against plain +3.2 points" in told


def test_without_a_run_to_compare_nothing_is_said_of_rga():
    for accuracy in ((), [row(baseline=None)]):
        assert "cannot be told" in answers(replace(PARALLEL, accuracy=accuracy))[3]
