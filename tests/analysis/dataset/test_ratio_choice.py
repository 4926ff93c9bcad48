import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.analysis.dataset.ratio_choice import CANDIDATES, EARLY, Sampling, choose, late_positives
from rgacli.data.references import COCO
from rgacli.errors import UsageError
from rgacli.method import RATIOS, SamplingRatio, parse_ratios

PAPER = parse_ratios(CANDIDATES)
STANDARD = Sampling(512, 1000, late_positives(1000))


def test_quotas_are_rounded_as_mmdet_does():
    assert [STANDARD.quota(ratio) for ratio in PAPER] == [256, 128, 85, 64, 51]


def test_an_image_yields_positives_by_its_objects_but_never_more_than_there_are_proposals():
    few = Sampling(512, 20, 10)
    assert few.available(np.array([0, 1, 2, 3])).tolist() == [0, 10, 20, 23]  # the ground truth joins the proposals
    assert few.available(np.array([1, 2]), early=True).tolist() == [EARLY, 2 * EARLY]
    assert Sampling(512, 20, 1).available(1, early=True) == 1  # not more than late


def test_the_positives_per_object_are_near_those_measured():
    measured = {200: [4.8], 300: [7.3, 8.4], 1000: [8.8, 14.8, 17.0]}
    for proposals, found in measured.items():
        assert min(found) - 2 < late_positives(proposals) < max(found) + 2


@pytest.mark.parametrize(
    ("objects", "ratio"), [(5, "1:9"), (5.2, "1:7"), (8, "1:5"), (12.8, "1:3"), (13, "1:1"), (100, "1:1")]
)
def test_a_ratio_fits_whose_quota_is_the_smallest_that_takes_all_positives(objects, ratio):
    assert str(Sampling(512, 1000, 10).fitting(PAPER, objects)) == ratio


def test_on_the_sample_of_coco_the_rule_finds_the_papers_ratios_all_over_the_measured_range():
    objects = np.array([number for number in COCO.objects if number])
    for per_object in (8.8, STANDARD.positives_per_object, 17.0):
        found = choose(objects, PAPER, Sampling(512, 1000, per_object))
        assert tuple(map(str, found.ratios)) == RATIOS


def test_images_that_are_alike_ask_for_one_ratio():
    found = choose(np.full(50, 7), PAPER, STANDARD)
    assert (found.sparse, found.crowded, len(found.ratios)) == (7, 7, 1)


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=30),
    st.lists(st.builds(SamplingRatio, st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5, unique=True),
)
def test_what_is_chosen_is_of_the_candidates_and_the_head_for_crowds_never_has_fewer_positives(objects, ratios):
    found = choose(np.array(objects), ratios, STANDARD)
    assert {found.most, found.fewest} <= set(ratios)
    assert STANDARD.quota(found.most) >= STANDARD.quota(found.fewest)
    assert {found.sparse, found.crowded} <= set(objects)


@pytest.mark.parametrize(
    ("sampling", "complaint"),
    [((0, 9, 2), "rois=0"), ((9, 0, 2), "proposals=0"), ((9, 9, 0.5), "positives_per_object=0.5.*ground truth")]
    + [((9, 9, value), "positives_per_object") for value in (math.nan, math.inf)],
)
def test_numbers_out_of_range_are_refused(sampling, complaint):
    with pytest.raises(UsageError, match=complaint):
        Sampling(*sampling)
