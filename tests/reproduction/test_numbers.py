import math

from rgacli.reproduction.numbers import rounded


def test_floats_have_six_digits_and_nan_is_none():
    assert rounded({"a": [1 / 3, (math.nan,)], "b": 123456789, "c": "NaN", "d": 1234567.8, "e": None}) == {
        "a": [0.333333, [None]],
        "b": 123456789,
        "c": "NaN",
        "d": 1234570.0,
        "e": None,
    }
