from types import SimpleNamespace

import pytest

from rgacli.bench import parts
from rgacli.bench.parts import parts_in_turn, parts_of


class Step:
    def __init__(self, clock):
        self.clock = clock

    def spend(self, seconds):
        self.clock[0] += seconds

    def whole(self):
        self.spend(1)
        self.inner()
        self.inner()
        self.spend(2)

    def inner(self):
        self.spend(10)


@pytest.fixture
def step(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(parts, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    return Step(clock)


def test_a_part_is_without_the_parts_that_it_calls(step):
    found = parts_of(lambda: step.whole(), [(step, "whole", "rest"), (step, "inner", "inner")])
    assert found == {"rest": 3, "inner": 20}


def test_parts_of_one_name_add_up_and_what_is_not_called_has_no_entry(step):
    timed = [(step, "whole", "all"), (step, "inner", "all"), (step, "spend", "spending")]
    assert parts_of(lambda: step.whole(), timed) == {"all": 0, "spending": 23}
    assert parts_of(lambda: None, timed) == {}


def test_methods_are_as_they_were_afterwards(step):
    step.inner = own = lambda: step.spend(5)  # put there before, as RGA's hook does
    with pytest.raises(ZeroDivisionError):
        parts_of(lambda: 1 / 0, [(step, "whole", "a"), (step, "inner", "b")])
    assert step.inner is own
    assert "whole" not in vars(step)
    assert parts_of(step.whole, [(step, "inner", "b")]) == {"b": 10}


def test_works_take_turns_and_the_median_run_counts(step):
    order, durations = [], iter([1.0, 5.0, 3.0])

    def first():
        order.append("first")
        step.spend(next(durations))

    def second():
        order.append("second")
        step.inner()

    works = {"first": (first, [(step, "spend", "spending")]), "second": (second, [(step, "inner", "inner")])}
    found = parts_in_turn(works, repeats=3)
    assert order == ["first", "second"] * 3
    assert found == {"first": {"spending": 3.0}, "second": {"inner": 10}}
