import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgacli.analysis.smoothing import band, smoothed, window_for

numbers = st.floats(-1e3, 1e3)
curves = st.lists(numbers, max_size=30)
gappy = st.lists(numbers | st.just(float("nan")), max_size=30)
windows = st.integers(1, 40)
few = settings(max_examples=40, deadline=None)


@few
@given(curves, windows)
def test_a_smoothed_curve_has_its_length_its_ends_and_stays_between_its_values(values, window):
    found = smoothed(values, window)
    assert len(found) == len(values)
    for i, mean in enumerate(found):
        near = values[max(0, i - window // 2) : i + window // 2 + 1]
        assert min(near) - 1e-9 <= mean <= max(near) + 1e-9
    if values:
        assert (found[0], found[-1]) == (values[0], values[-1])


@few
@given(numbers, st.floats(-10, 10), st.integers(1, 30), windows)
def test_a_straight_line_stays_as_it_is_up_to_its_ends(start, slope, count, window):
    line = start + slope * np.arange(count)
    assert smoothed(line, window) == pytest.approx(line, abs=1e-9)


@few
@given(gappy, windows)
def test_nothing_lags(values, window):
    backward = smoothed(values[::-1], window)[::-1]
    assert smoothed(values, window) == pytest.approx(backward, abs=1e-9, nan_ok=True)


@few
@given(gappy, windows)
def test_all_values_lie_in_the_band(values, window):
    low, high = band(values, window)
    known = ~np.isnan(values)
    assert len(low) == len(high) == len(values)
    assert (low[known] <= np.asarray(values)[known]).all()
    assert (high[known] >= np.asarray(values)[known]).all()


def test_weights_fall_off_on_both_sides():
    assert smoothed([0, 0, 0, 9, 0, 0, 0], 5) == pytest.approx([0, 0, 2, 3, 2, 0, 0])


def test_what_was_not_logged_is_left_out_and_a_gap_of_a_window_stays_one():
    nan = float("nan")
    found = smoothed([1, nan, 1, 4, nan, nan, nan, 2], 3)
    assert found == pytest.approx([1, 1, 2, 3, 4, nan, 2, 2], nan_ok=True)
    assert band([1, nan, nan, nan, 5], 4)[0] == pytest.approx([1, 1, nan, 5, 5], nan_ok=True)


@given(st.integers(0, 10**5))
def test_windows_are_odd_and_a_tenth_of_what_was_logged(count):
    window = window_for(count)
    assert window % 2 == 1
    assert window == 5 or abs(window - count / 10) <= 1
