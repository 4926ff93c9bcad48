import math

import numpy as np
import pytest

from rgacli.analysis.accuracy.rows import baselines, compare, told
from rgacli.analysis.steadiness import mean_of_blocks
from tests.support.logs import training

SIDES = {"positives": "acc_pos"}


def with_accuracy(name, *values, **options):
    return training(name, acc_pos=dict(zip(("1:1", "1:9"), values, strict=False)), **options)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([("a", 7), ("b", 1)], {"a": "b"}),
        ([("a", 1), ("b", 3), ("c", 7)], {"b": "a", "c": "a"}),
        ([("a", 3), ("b", 7), ("c", 7)], {"b": "a", "c": "a"}),
        ([("a", 1), ("b", 1)], {"b": "a"}),
        ([("a", 7)], {}),
        ([("a", 1)], {}),
    ],
)
def test_runs_are_compared_with_the_one_without_rga_else_with_the_first(runs, expected):
    assert baselines([training(name, lambda0=value) for name, value in runs]) == expected


def test_of_several_runs_without_rga_the_one_of_the_same_seed_is_taken():
    runs = [training(f"{value}-{seed}", lambda0=value, seed=seed) for seed in (0, 1) for value in (1, 7)]
    runs.append(training("7-5", lambda0=7, seed=5))
    assert baselines(runs) == {"7-0": "1-0", "7-1": "1-1", "7-5": "1-0"}


def test_of_several_of_its_seed_the_first_is_taken_and_unknown_seeds_are_not_the_same():
    plain = [training("0", lambda0=1, seed=0), training("1a", lambda0=1, seed=1), training("1b", lambda0=1, seed=1)]
    assert baselines([*plain, training("rga", lambda0=7, seed=1)]) == {"rga": "1a"}
    plain.append(training("unknown", lambda0=1, seed=None))
    assert baselines([*plain, training("rga", lambda0=7, seed=None)]) == {"rga": "0"}


def test_of_several_runs_without_rga_one_with_the_same_heads_is_taken():
    runs = [
        training("rga", lambda0=7, quotas={"1:1": 64, "1:9": 12}),
        training("single", quotas={"1:3": 32}),
        training("parallel", quotas={"1:1": 64, "1:9": 12}),
    ]
    assert baselines(runs) == {"rga": "parallel"}


def test_differences_are_taken_at_the_same_iterations():
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(50, 1, 100), generator.normal(48, 1, 60)
    rows = compare(
        [with_accuracy("plain", theirs, every=10), with_accuracy("rga", ours, lambda0=7.0, every=5)],
        SIDES,
    )
    plain, rga = rows
    assert (plain.baseline, plain.compared, rga.baseline, rga.compared) == (None, 0, "plain", 50)
    differences = ours[1::2] - theirs[:50]  # iterations 10, 20, …, 500
    assert rga.in_all == pytest.approx(mean_of_blocks(differences))
    assert rga.at_first == pytest.approx(mean_of_blocks(differences[:10]))
    assert (rga.early, rga.late, rga.whole) == pytest.approx((ours[:20].mean(), ours[-20:].mean(), ours.mean()))


def test_the_mean_over_heads_is_compared_where_runs_have_the_same_heads():
    one, two = [50.0] * 20, [10.0] * 20
    same = compare([with_accuracy("a", one, two), with_accuracy("b", two, two)], SIDES)
    assert [(row.run, row.head, row.whole) for row in same if row.head == "mean"] == [
        ("a", "mean", 30),
        ("b", "mean", 10),
    ]
    assert [row.difference for row in same if row.run == "b"] == [-40, 0, -20]
    other = compare([with_accuracy("a", one, two), with_accuracy("b", two)], SIDES)
    assert [(row.head, row.difference) for row in other if row.run == "b"] == [("1:1", -40)]


def test_heads_and_iterations_that_the_other_has_not_are_not_compared():
    other = training("b", acc_pos={"1:3": [1.0] * 20})
    (row,) = [row for row in compare([with_accuracy("a", [1.0] * 20), other], SIDES) if row.run == "b"]
    assert (row.baseline, row.compared) == (None, 0)
    assert math.isnan(row.difference)
    apart = [with_accuracy("a", [1.0, 2.0], every=10), with_accuracy("b", [1.0], every=7)]
    assert told(apart, compare(apart, SIDES)) == []


def test_accuracies_on_nothing_are_left_out():
    nan = float("nan")
    rows = compare([with_accuracy("a", [1.0, nan, 3.0]), with_accuracy("b", [2.0, 5.0, nan])], SIDES)
    assert (rows[0].whole, rows[1].whole, rows[1].compared, rows[1].difference) == (2, 3.5, 1, 1)


def test_what_is_told_says_where_a_difference_is_within_its_interval():
    generator = np.random.default_rng(0)
    base = generator.normal(50, 1, 100)
    runs = [
        with_accuracy("a", base),
        with_accuracy("b", base + generator.normal(0, 1, 100) + 5 * (np.arange(100) < 20), lambda0=7.0),
    ]
    (sentence,) = told(runs, compare(runs, SIDES))
    early = sentence.split("iterations, ")[0]
    assert early.startswith("b (λ0 7) against a, accuracy in points, head 1:1: on positives +")
    assert "within" not in early
    runs[1] = with_accuracy("b", base + generator.normal(0, 1, 100), lambda0=7.0)
    (sentence,) = told(runs, compare(runs, SIDES))
    assert sentence.count(", within its interval (95 %: ") == 2


def test_runs_that_differ_in_their_seeds_are_told_together():
    runs = [with_accuracy(f"1-{seed}", [50.0] * 20, seed=seed) for seed in (3, 4)]
    runs += [with_accuracy(f"7-{seed}", [50.0 + seed] * 20, seed=seed, lambda0=7.0) for seed in (3, 4)]
    assert told(runs, compare(runs, SIDES)) == [
        "2 runs with λ0 7 (seeds 3, 4) against 1-3, 1-4, accuracy, head 1:1, mean and range of the runs: on positives "
        "+3.5 points (+3.0 to +4.0) in the first 20 % of iterations, +3.5 points (+3.0 to +4.0) over all"
    ]
    runs[3] = with_accuracy("again", [54.0] * 20, seed=3, lambda0=7.0)
    assert len(told(runs, compare(runs, SIDES))) == 2
