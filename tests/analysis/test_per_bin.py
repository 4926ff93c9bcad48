import math

import numpy as np
import pytest

from rgacli.analysis import per_bin
from rgacli.analysis.intervals import ratio
from rgacli.errors import DataError
from rgacli.evaluation.gt_bins import DEFAULT_BINS


def test_groups_are_of_all_images_and_of_each_bin():
    found = per_bin.groups({7: 2, 3: 0, 5: 9, 1: 1}, DEFAULT_BINS)
    assert {label: images.tolist() for label, images in found.items()} == {
        "all": [0, 1, 2, 3],
        "1-3": [0, 3],
        "4-7": [],
        "8+": [2],
    }


@pytest.mark.parametrize(
    ("name", "run", "head"),
    [
        ("1:9", "", "1:9"),
        ("a b 1:1#2", "a b", "1:1#2"),
        ("mine ensemble", "mine", "ensemble"),
        ("stock detector", "stock", "detector"),
        ("RetinaNet (torchvision)", "", "RetinaNet (torchvision)"),
    ],
)
def test_names_that_end_in_a_head_are_of_a_run(name, run, head):
    assert per_bin.run_and_head(name) == (run, head)


def test_of_each_run_the_heads_that_are_farthest_apart_are_compared():
    names = ["a 1:9", "a 1:3", "a 1:1", "a ensemble", "b 1:1", "b 1:5", "c detector"]
    assert per_bin.pairs(names) == [("a 1:1", "a 1:9"), ("b 1:1", "b 1:5")]
    assert per_bin.pairs(["x", "y", "z"]) == [("x", "y"), ("x", "z")]
    assert per_bin.pairs(["detector"]) == []


def test_a_sentence_tells_of_the_outermost_bins_that_have_enough_images():
    images = {"all": 100, "1-3": 9, "4-7": 40, "8-9": 20, "10+": 31}
    assert per_bin.told(list(images), images) == ["4-7", "10+"]
    assert per_bin.told(["all", "1+"], {"all": 99, "1+": 99}) == ["all"]


def test_titles_and_sentences_name_a_bin():
    assert per_bin.heading("1", 1) == "1 object (1 image: too few)"
    assert per_bin.heading("all", 10) == "all images (10 images)"
    assert (per_bin.where("8+"), per_bin.where("all")) == ("in images with 8+ objects", "on all images")


def test_tables_are_one_per_run_with_its_heads():
    first, second = per_bin.tables("AP", {"head": "head"}, [{"name": "a b 1:9"}, {"name": "c 1:9"}, {"name": "c 1:1"}])
    assert (first.title, second.title, second.group) == ("AP: a b", "AP: c", "head")
    assert [row["head"] for row in second.rows] == ["1:9", "1:1"]
    (alone,) = per_bin.tables("AP", {}, [{"name": "RetinaNet"}])
    assert (alone.title, alone.rows[0]["head"]) == ("AP", "RetinaNet")


def test_a_difference_from_nothing_is_the_ratio_itself():
    rng = np.random.default_rng(0)
    parts, wholes = rng.random(30), rng.integers(1, 9, 30)
    assert per_bin.difference(parts, wholes, np.zeros(30), np.ones(30)) == pytest.approx(ratio(parts, wholes))
    assert per_bin.difference(parts, wholes, parts, wholes) == pytest.approx((0, 0, 0))


def test_a_difference_is_paired_and_as_wide_as_its_bootstrap():
    rng = np.random.default_rng(1)
    wholes, others = rng.integers(1, 9, 60), rng.integers(1, 9, 60)
    shared = rng.normal(0, 5, 60)  # what makes an image hard for both
    parts, other_parts = wholes + shared + rng.normal(0, 0.5, 60), others / 2 + shared + rng.normal(0, 0.5, 60)
    samples = [
        parts[drawn].sum() / wholes[drawn].sum() - other_parts[drawn].sum() / others[drawn].sum()
        for drawn in rng.integers(60, size=(2000, 60))
    ]
    value, low, high = per_bin.difference(parts, wholes, other_parts, others)
    assert value == pytest.approx(parts.sum() / wholes.sum() - other_parts.sum() / others.sum())
    assert (high - low) / 4 == pytest.approx(np.std(samples), rel=0.12)


def test_a_difference_that_one_image_tells_of_has_no_interval():
    value, low, high = per_bin.difference([1, 0, 0], [4, 0, 0], [1, 1, 1], [2, 4, 4])
    assert value == pytest.approx(1 / 4 - 3 / 10)
    assert math.isnan(low)
    assert math.isnan(high)


def test_a_difference_of_what_is_not_there_is_unknown():
    assert all(map(math.isnan, per_bin.difference([1, 2], [0, 0], [1, 2], [1, 1])))
    value, *ends = per_bin.difference([1], [2], [1], [4])
    assert value == 0.25
    assert all(map(math.isnan, ends))


def test_scores_that_are_no_probabilities_are_refused_and_rounding_is_not():
    assert per_bin.probabilities("a", [{"score": 1.0000001}, {"score": 0}]).tolist() == [1, 0]
    with pytest.raises(DataError, match=r"mine: 2 of 3 detections have a score outside \[0, 1\] \(first: 7.5\)"):
        per_bin.probabilities("mine", [{"score": 0.5}, {"score": 7.5}, {"score": -1}])
