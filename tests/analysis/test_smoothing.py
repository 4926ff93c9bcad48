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
def test_a_smoothed_curve_has_its_length_and_stays_between_the_values_around(values, window):
    found = smoothed(values, window)
    assert len(found) == len(values)
    for i, mean in enumerate(found):
        near = values[max(0, i - window // 2) : i + window // 2 + 1]
        assert min(near) - 1e-9 <= mean <= max(near) + 1e-9


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
@given(curves, windows)
def test_away_from_the_ends_the_curve_lies_in_its_band(values, window):
    low, middle, high = *band(values, window), smoothed(values, window)
    reach = (window - 1) // 2
    inside = slice(reach, len(values) - reach)
    assert len(low) == len(high) == len(values)
    assert (low[inside] <= middle[inside] + 1e-9).all()
    assert (high[inside] >= middle[inside] - 1e-9).all()


@few
@given(gappy, windows)
def test_a_band_is_of_what_there_is(values, window):
    low, high = band(values, window)
    known = [value for value in values if value == value]
    for bound in (low, high):
        assert np.isnan(bound).all() or (min(known) - 1e-9 <= np.nanmin(bound) <= np.nanmax(bound) <= max(known) + 1e-9)


def test_weights_fall_off_on_both_sides():
    assert smoothed([0, 0, 0, 9, 0, 0, 0], 5)[2:-2] == pytest.approx([2, 3, 2])


def test_noise_at_the_ends_is_smoothed_too():
    noise = np.random.default_rng(0).normal(0, 1, (200, 41))
    first = [smoothed(one, 15)[0] for one in noise]
    assert np.std(first) < 0.7


def test_what_was_not_logged_is_left_out_and_a_gap_of_a_window_stays_one():
    nan = float("nan")
    assert smoothed([1, nan, 3, 4, nan, nan, nan, 2], 3) == pytest.approx([1, 2, 3, 4, 4, nan, 2, 2], nan_ok=True)
    assert band([1, nan, nan, nan, 5], 3)[0] == pytest.approx([1, 1, nan, 5, 5], nan_ok=True)


@given(st.integers(0, 10**5))
def test_windows_are_odd_and_a_tenth_of_what_was_logged(count):
    window = window_for(count)
    assert window % 2 == 1
    assert window == 5 or abs(window - count / 10) <= 1
