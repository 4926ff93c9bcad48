import math

import numpy as np
import pytest
from scipy import stats

from rgacli.analysis.steadiness import mean_of_blocks, rise

NAN = float("nan")


def test_the_mean_of_blocks_is_that_of_all_values_with_students_interval_over_the_blocks():
    values = np.random.default_rng(0).normal(2, 1, 100)
    found = mean_of_blocks(values)
    low, high = stats.t.interval(0.95, 9, values.mean(), stats.sem(values.reshape(10, 10).mean(axis=1)))
    assert found == pytest.approx((values.mean(), low, high))
    assert not found.is_zero_inside


def test_what_holds_on_for_long_is_not_counted_as_often_as_it_was_logged():
    """A slow swing about 0 that single values would tell apart from it."""
    swing = np.repeat([1.0, 1.2, -0.2, 1.0, -0.9], 40)
    alone = stats.ttest_1samp(swing, 0).confidence_interval()
    assert alone.low > 0
    assert mean_of_blocks(swing).is_zero_inside


@pytest.mark.parametrize("count", range(8))
def test_a_few_values_have_a_mean_and_fewer_than_six_no_interval(count):
    found = mean_of_blocks([*range(count), NAN])
    assert found.value == pytest.approx((count - 1) / 2 if count else NAN, nan_ok=True)
    assert math.isnan(found.low) == (count < 6)


def test_a_rise_has_welchs_interval():
    generator = np.random.default_rng(1)
    early, late = generator.normal(1, 2, 5), generator.normal(3, 1, 20)
    expected = stats.ttest_ind(late, early, equal_var=False).confidence_interval()
    assert rise([*early, NAN], late) == pytest.approx((late.mean() - early.mean(), expected.low, expected.high))


def test_a_rise_between_values_that_do_not_change_is_exact():
    assert rise([1, 1, 1], [3, 3, 3]) == (2, 2, 2)
    assert rise([1, 1, 1], [1, 1, 1]).is_zero_inside


@pytest.mark.parametrize(("early", "late", "value"), [([1], [2, 3, 4], 2), ([1, 1, 1], [2, 3], 1.5), ([], [1], NAN)])
def test_a_rise_from_or_to_a_few_values_has_no_interval(early, late, value):
    found = rise(early, late)
    assert found.value == pytest.approx(value, nan_ok=True)
    assert math.isnan(found.low)
