"""What is said follows from the numbers: made by hand, one verdict after another."""

import math

import pytest

from rgacli.analysis.at_a_glance.rows import FALSE, FOUND, OF_ENSEMBLE, OF_HEADS, Row
from rgacli.analysis.at_a_glance.sentences import of_ensemble, of_heads, of_training

MORE, FEWER, OPEN = (2.0, 1.0, 3.0), (-2.0, -3.0, -1.0), (2.0, -1.0, 5.0)


def drew(*change):
    return of_training(Row("training", "positives", "late", "early", 24.0, 8.0, *change), "1:1", 32)


def test_positives_that_grow_are_told_by_their_shares():
    assert drew(16.0, 14.5, 17.5).text == (
        "early in training head 1:1 gets 25 % of its positives, late 75 %: of the 32 an image that its ratio asks for, "
        "8.0 in the first 5 % of iterations and 24.0 in the last 20 %, +16.0 (95 %: +14.5 to +17.5)"
    )


@pytest.mark.parametrize(
    ("change", "headline", "numbers"),
    [
        (OPEN, "the positives of head 1:1 are not shown to grow in training", "+2.0, within its interval (95 %: −1.0"),
        (
            (2.0, math.nan, math.nan),
            "the positives of head 1:1 are not shown to grow in training",
            "+2.0 (no interval)",
        ),
        (FEWER, "the positives of head 1:1 get fewer in training", "−2.0 (95 %: −3.0 to −1.0)"),
    ],
)
def test_positives_that_do_not_grow_are_not_said_to(change, headline, numbers):
    found = drew(*change)
    assert found.headline == headline
    assert numbers in found.numbers


def test_of_a_cascade_the_stage_is_named():
    row = Row("training", "positives", "late", "early", 24.0, 8.0, *MORE)
    assert "its ratio asks for, first stage, 8.0 in" in of_training(row, "1:1", 32, ", first stage").numbers


def heads(found, false):
    rows = [
        Row(OF_HEADS, FOUND, "1:1", "1:9", 48.2, 28.0, *found),
        Row(OF_HEADS, FALSE, "1:1", "1:9", 9.0, 7.0, *false),
    ]
    return of_heads(rows, 0.3)


@pytest.mark.parametrize(
    ("found", "false", "headline"),
    [
        (MORE, MORE, "head 1:1 finds more objects, head 1:9 is wrong less often"),
        (FEWER, FEWER, "head 1:9 finds more objects, head 1:1 is wrong less often"),
        (MORE, FEWER, "head 1:1 finds more objects and is wrong less often than head 1:9"),
        (FEWER, MORE, "head 1:9 finds more objects and is wrong less often than head 1:1"),
        (MORE, OPEN, "head 1:1 finds more objects than head 1:9"),
        (FEWER, OPEN, "head 1:9 finds more objects than head 1:1"),
        (OPEN, MORE, "head 1:9 is wrong less often than head 1:1"),
        (OPEN, FEWER, "head 1:1 is wrong less often than head 1:9"),
        (OPEN, OPEN, "heads 1:1 and 1:9 are not shown to differ"),
    ],
)
def test_only_what_is_beyond_its_interval_is_said_of_heads(found, false, headline):
    assert heads(found, false).headline == headline


def test_both_quantities_have_their_numbers_and_intervals():
    assert heads((20.2, 18.0, 22.5), OPEN).numbers == (
        "per 100 objects, from a score of 0.3 on, heads 1:1 and 1:9 find 48 and 28, +20 (95 %: +18 to +22), and make "
        "9.0 and 7.0 false detections, +2.0, within its interval (95 %: −1.0 to +5.0)"
    )


NAMES = {"base": "plain", "a": "1:1", "b": "1:9", "c": "1:5"}


def ensemble(**changes):
    rows = [Row(OF_ENSEMBLE, "AP", "ensemble", NAMES[key], 0.185, 0.17, *change) for key, change in changes.items()]
    return of_ensemble(rows, "100 images")


@pytest.mark.parametrize(
    ("first", "second", "headline"),
    [
        (MORE, MORE, "the ensemble is better than each of its heads"),
        (FEWER, FEWER, "the ensemble is worse than each of its heads"),
        (OPEN, MORE, "the ensemble is better than head 1:9"),
        (FEWER, OPEN, "the ensemble is worse than head 1:1"),
        (FEWER, MORE, "the ensemble is better than head 1:9 and worse than head 1:1"),
        (OPEN, OPEN, "the ensemble is not shown to differ from its heads"),
    ],
)
def test_the_ensembles_verdict_is_of_each_head(first, second, headline):
    assert ensemble(a=first, b=second).headline == headline


@pytest.mark.parametrize(
    ("base", "first", "headline"),
    [
        (MORE, MORE, "the ensemble is better than plain and each of its heads"),
        (MORE, OPEN, "the ensemble is better than plain and head 1:9"),
        (FEWER, MORE, "the ensemble is better than each of its heads and worse than plain"),
        (OPEN, FEWER, "the ensemble is better than head 1:9 and worse than head 1:1"),
    ],
)
def test_another_run_is_named_before_the_heads(base, first, headline):
    found = ensemble(base=base, a=first, b=MORE)
    assert found.headline == headline
    assert found.numbers.index("against plain") < found.numbers.index("against head 1:1")


def test_another_run_that_nothing_is_shown_of_is_named_too():
    assert ensemble(base=OPEN, a=OPEN).headline == "the ensemble is not shown to differ from plain and its heads"


def test_of_three_heads_those_that_it_is_better_than_are_named():
    assert ensemble(a=MORE, b=OPEN, c=MORE).headline == "the ensemble is better than heads 1:1 and 1:5"


def test_the_ensembles_gains_have_their_intervals_shown_or_not():
    assert ensemble(a=(0.009, 0.003, 0.016), b=(0.002, -0.001, 0.005)).numbers == (
        "its AP on 100 images is 0.185, +0.009 (95 %: +0.003 to +0.016) against head 1:1, +0.002, within its interval "
        "(95 %: −0.001 to +0.005) against head 1:9"
    )
