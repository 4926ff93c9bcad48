import math

import pytest

from rgacli.analysis.intervals import is_within
from rgacli.analysis.words import ends, in_words, short, spread, with_ends

NAN = math.nan


@pytest.mark.parametrize(
    ("difference", "words", "cell", "within"),
    [
        ((0.021, 0.004, 0.038), "+0.021 (95 %: +0.004 to +0.038)", "+0.021 ±0.017", False),
        ((-0.021, -0.038, -0.004), "−0.021 (95 %: −0.038 to −0.004)", "−0.021 ±0.017", False),
        ((0.003, -0.01, 0.016), "+0.003, within its interval (95 %: −0.010 to +0.016)", "+0.003 ±0.013", True),
        ((0.0, -4e-4, 4e-4), "0.000, within its interval (95 %: 0.000 to 0.000)", "0.000 ±0.000", True),
        ((0.021, NAN, NAN), "+0.021 (no interval)", "+0.021", True),
    ],
)
def test_a_difference_in_words(difference, words, cell, within):
    assert in_words(*difference) == words
    assert short(*difference) == cell
    assert is_within(*difference[1:]) == within


def test_an_unknown_difference_has_no_cell():
    assert short(NAN, NAN, NAN) is None


def test_percentages_have_as_many_decimals_as_are_asked_for():
    assert in_words(-1.25, -3.04, 0.54, decimals=1) == "−1.2, within its interval (95 %: −3.0 to +0.5)"
    assert short(1.0, NAN, NAN, decimals=1) == "+1.0"
    assert short(1.0, 0.5, 1.5, decimals=1) == "+1.0 ±0.5"
    assert in_words(1.0, NAN, NAN, decimals=1, unit=" points") == "+1.0 points (no interval)"


def test_a_value_has_its_interval_behind_or_beside_it():
    assert with_ends(0.333, 0.3, 0.361) == "0.33 (0.30 to 0.36)"
    assert with_ends(90, 88.4, 91.6, decimals=0, unit="°") == "90° (88° to 92°)"
    assert (with_ends(90, NAN, NAN, decimals=0), with_ends(NAN, NAN, NAN)) == ("90", "unknown")
    assert (spread(-0.126, 3), ends(-0.126, 3)) == ("−0.13 to 3.00", "−0.13…3.00")
    assert (spread(NAN, NAN), ends(NAN, NAN)) == ("interval unknown", None)
    assert spread(-0.001, 0) == "0.00 to 0.00"
