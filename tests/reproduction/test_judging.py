import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rgacli.analysis.intervals import Estimate
from rgacli.reproduction.judging import judge, over_seeds, values_of, verdict_of
from rgacli.reproduction.sweep import Claim, Quantity, Row, Table

DIFFERENCE = Quantity.parse("rga/AP - plain/AP")
VALUES = st.integers(0, 1000).map(lambda value: value / 10)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=8)
BOUNDS = st.tuples(st.integers(-20, 20), st.integers(0, 20)).map(lambda each: (each[0], each[0] + each[1]))
OPPOSITE = {"positive": "negative", "negative": "positive", "zero": "zero"}


def of_pairs(pairs):
    """What judging is given of two arms: seed -> numbers."""
    return {
        arm: {seed: {"AP": pair[index]} for seed, pair in enumerate(pairs)}
        for index, arm in enumerate(("rga", "plain"))
    }


def judged(claim, numbers):
    return judge(Table("main", "what", (), (claim,)), numbers).claims[0]


@settings(max_examples=25)
@given(PAIRS)
def test_an_interval_of_a_difference_is_that_of_the_paired_t_test(pairs):
    found = judged(Claim("better", DIFFERENCE), of_pairs(pairs))
    differences = [a - b for a, b in pairs]
    assert found.values == pytest.approx(differences)
    if max(differences) - min(differences) > 0.05:  # scipy's is not defined of none
        expected = stats.ttest_rel(*zip(*pairs, strict=True)).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.mean == pytest.approx(sum(differences) / len(differences), abs=1e-9)


@settings(max_examples=25)
@given(PAIRS)
def test_a_claim_holds_where_the_t_test_of_5_percent_tells_it_from_none(pairs):
    found = judged(Claim("better", DIFFERENCE), of_pairs(pairs))
    differences = [a - b for a, b in pairs]
    if max(differences) - min(differences) > 0.05:
        p = stats.ttest_1samp(differences, 0).pvalue
        if abs(p - 0.05) > 1e-6:
            told = "holds" if found.mean > 0 else "contradicted"
            assert found.verdict == (told if p < 0.05 else "not shown")


@given(BOUNDS, st.sampled_from(list(OPPOSITE)), st.integers(1, 10))
def test_a_verdict_is_the_same_of_the_opposite_claim_about_the_opposite_number(bounds, expected, margin):
    low, high = bounds
    one = verdict_of(Estimate((low + high) / 2, low, high), expected, margin)
    assert one == verdict_of(Estimate(-(low + high) / 2, -high, -low), OPPOSITE[expected], margin)


@given(BOUNDS)
def test_what_holds_is_contradicted_the_other_way_round(bounds):
    estimate = Estimate(sum(bounds) / 2, *bounds)
    pair = verdict_of(estimate, "positive"), verdict_of(estimate, "negative")
    assert pair in {("holds", "contradicted"), ("contradicted", "holds"), ("not shown", "not shown")}


@pytest.mark.parametrize(
    ("expected", "margin", "low", "high", "verdict"),
    [
        ("positive", 0, 0.1, 2, "holds"),
        ("positive", 0, 0, 2, "not shown"),
        ("positive", 0, -1, 0, "not shown"),
        ("positive", 0, -2, -0.1, "contradicted"),
        ("negative", 0, -2, -0.1, "holds"),
        ("negative", 0, -2, 0, "not shown"),
        ("negative", 0, 0.1, 2, "contradicted"),
        ("zero", 0.5, -0.5, 0.5, "holds"),
        ("zero", 0.5, 0.1, 0.4, "holds"),
        ("zero", 0.5, -0.6, 0.1, "not shown"),
        ("zero", 0.5, 0.5, 2, "not shown"),
        ("zero", 0.5, 0.6, 2, "contradicted"),
        ("zero", 0.5, -2, -0.6, "contradicted"),
        ("zero", 0.5, -2, 2, "not shown"),
    ],
)
def test_rules_of_verdicts(expected, margin, low, high, verdict):
    assert verdict_of(Estimate((low + high) / 2, low, high), expected, margin) == verdict


@pytest.mark.parametrize("expected", OPPOSITE)
def test_one_seed_shows_nothing(expected):
    found = judged(Claim("c", DIFFERENCE, expected, 0.5 if expected == "zero" else 0), of_pairs([(40, 30)]))
    assert (found.mean, found.seeds, found.verdict) == (10, (0,), "not shown")
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@settings(max_examples=25)
@given(st.lists(VALUES, min_size=2, max_size=8), st.data())
def test_differences_are_within_a_seed(values, data):
    """What all arms of a seed have in common tells nothing: neither its size nor the seeds' order."""
    common = data.draw(st.lists(VALUES, min_size=len(values), max_size=len(values)))
    order = data.draw(st.permutations(range(len(values))))
    numbers = {
        "rga": {seed: {"AP": values[seed] + common[seed]} for seed in order},
        "plain": {seed: {"AP": common[seed]} for seed in reversed(range(len(values)))},
    }
    assert values_of(DIFFERENCE, numbers) == pytest.approx(dict(enumerate(values)))
    assert list(values_of(DIFFERENCE, numbers)) == list(range(len(values)))


def test_seeds_that_lack_a_part_are_left_out():
    numbers = {
        "rga": {0: {"AP": 3.0}, 1: {"AP": 5.0}, 2: {"AP50": 1.0}, 3: {"AP": None}, 4: {"AP": 9.0}},
        "plain": {0: {"AP": 1.0}, 2: {"AP": 1.0}, 3: {"AP": 1.0}, 4: {"AP": 4.0}, 5: {"AP": 1.0}},
    }
    assert values_of(DIFFERENCE, numbers) == {0: 2.0, 4: 5.0}
    assert values_of(DIFFERENCE, {"rga": numbers["rga"]}) == {}
    assert values_of(DIFFERENCE, {}) == {}


def test_a_number_of_0_is_one():
    assert values_of(DIFFERENCE, {"rga": {0: {"AP": 0.0}}, "plain": {0: {"AP": 0.0}}}) == {0: 0.0}


def test_of_no_seed_nothing_is_known():
    assert all(map(math.isnan, over_seeds([])))
    found = judged(Claim("better", DIFFERENCE, paper=1.2), {})
    assert (found.seeds, found.values, found.verdict, found.paper) == ((), (), "not measured", 1.2)


def test_a_table_keeps_the_papers_numbers_where_nothing_is_measured():
    of = Quantity.parse
    table = Table(
        "main",
        "what",
        (Row("one", {"AP": of("a/AP"), "x": of("a/x")}, {"AP": 36.1, "AP50": 58.1}),),
        (Claim("better", of("a/AP - b/AP"), "zero", 0.5, 0.1),),
        lacking=("two: not trained",),
    )
    found = judge(table, {"a": {0: {"AP": 30.0}, 1: {"AP": 32.0}}, "b": {1: {"AP": 32.0}}})
    assert (found.name, found.title, found.columns, found.lacking) == (
        "main",
        "what",
        ("AP", "x", "AP50"),
        table.lacking,
    )
    cells = found.rows[0].cells
    assert {key: (one.quantity, one.values, one.paper) for key, one in cells.items()} == {
        "AP": ("a/AP", (30.0, 32.0), 36.1),
        "x": ("a/x", (), None),
        "AP50": ("", (), 58.1),
    }
    (claim,) = found.claims
    assert (claim.claim, claim.quantity, claim.expected, claim.margin) == ("better", "a/AP - b/AP", "zero", 0.5)
    assert (claim.seeds, claim.values, claim.paper, claim.verdict) == ((1,), (0.0,), 0.1, "not shown")
