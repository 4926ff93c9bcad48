import pytest

from rgacli.bench import alternating
from rgacli.bench.alternating import Spread, alternate, ratio


def test_who_goes_first_changes_with_each_round():
    order = []
    works = {name: lambda name=name: order.append(name) for name in "abc"}
    taken = alternate(works, repeats=3, warm_up=1)
    assert "".join(order) == "abcbcacababc"
    assert {name: len(seconds) for name, seconds in taken.items()} == dict.fromkeys("abc", 3)


def test_a_device_is_waited_for_before_and_after_each_work():
    seen = []
    alternate({"a": lambda: seen.append("a")}, repeats=2, warm_up=0, wait=lambda: seen.append("wait"))
    assert seen == ["wait", "a", "wait"] * 2


def test_seconds_are_of_the_work_alone_and_of_the_rounds_that_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(alternating.time, "perf_counter", lambda: now[0])

    def work(seconds):
        now[0] += next(seconds)

    durations = {"a": iter([9.0, 1.0, 2.0]), "b": iter([8.0, 4.0, 6.0])}
    taken = alternate({name: lambda own=own: work(own) for name, own in durations.items()}, repeats=2, warm_up=1)
    assert taken == {"a": [1.0, 2.0], "b": [4.0, 6.0]}


def test_every_work_is_reported():
    told = []
    alternate({"a": int, "b": int}, repeats=2, warm_up=1, progress=lambda task, done, total, note="": told.append(done))
    assert told == [1, 2, 3, 4, 5, 6]


def test_the_spread_is_median_and_quartiles():
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 1)


def test_a_ratio_is_that_of_medians_with_the_quartiles_of_rounds():
    found = ratio([2.0, 4.0, 30.0], [1.0, 2.0, 10.0])
    assert found.median == pytest.approx(4 / 2)
    assert (found.low, found.high, found.n) == (2.0, 2.5, 3)
