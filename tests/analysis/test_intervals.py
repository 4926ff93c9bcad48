import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rgacli.analysis.intervals import Estimate, mean, pearson, ratio, spearman

NUMBERS = st.lists(st.integers(0, 50), min_size=2, max_size=30)


@settings(max_examples=25)
@given(NUMBERS)
def test_a_mean_has_students_interval(values):
    found = mean(values)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), error) if error else [np.mean(values)] * 2
    assert found == pytest.approx((np.mean(values), *expected))


@settings(max_examples=25)
@given(NUMBERS, st.floats(0.1, 10))
def test_a_ratio_that_all_images_share_is_certain(wholes, value):
    found = ratio([value * whole for whole in wholes], wholes)
    if np.count_nonzero(wholes) > 1:
        assert found == pytest.approx([value] * 3)
    else:
        assert found[0] == pytest.approx(value) if sum(wholes) else math.isnan(found[0])
        assert all(map(math.isnan, found[1:]))  # of one image that has any


def test_the_interval_of_a_ratio_holds_the_true_one_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        wholes = rng.integers(5, 60, 40)
        chances = rng.beta(2, 6, 40)  # outputs of one image are alike: they are no independent draws
        found = ratio(rng.binomial(wholes, chances), wholes, within=(0, 1))
        held += found.low <= 0.25 <= found.high
    assert 0.92 <= held / 400 <= 0.97


def test_an_interval_stays_within_what_is_possible_and_one_image_has_none():
    assert ratio([0, 5], [5, 5], within=(0, 1))[1:] == (0, 1)
    value, low, high = ratio([1], [4])
    assert value == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize("images", [4, 30])
def test_correlations_are_scipys(images):
    rng = np.random.default_rng(images)
    x = rng.integers(1, 12, images)
    y = x**2 + rng.normal(0, 20, images)
    known = stats.pearsonr(x, y)
    assert pearson(x, y) == pytest.approx((known.statistic, *known.confidence_interval(0.95)))
    ranks = stats.spearmanr(x, y).statistic
    reach = stats.norm.ppf(0.975) * math.sqrt((1 + ranks**2 / 2) / (images - 3))
    expected = np.tanh([math.atanh(ranks), math.atanh(ranks) - reach, math.atanh(ranks) + reach])
    assert spearman(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_correlations_of_next_to_nothing(correlation):
    assert all(map(math.isnan, correlation([], [])))
    assert all(map(math.isnan, correlation([3, 3, 3, 3], [1, 2, 3, 4])))
    assert correlation([1, 2, 3], [1, 2, 9])[0] > 0.8
    assert math.isnan(correlation([1, 2, 3], [1, 2, 9]).low)
    assert correlation([1, 2, 3, 4], [1, 2, 3, 4]) == pytest.approx((1, 1, 1))


def test_a_side_of_zero_is_known_only_by_the_interval():
    assert not Estimate(1, 0.5, 1.5).is_zero_inside
    assert not Estimate(-1, -1.5, -0.5).is_zero_inside
    assert Estimate(1, -0.5, 2.5).is_zero_inside
    assert Estimate(1, math.nan, math.nan).is_zero_inside
