from types import SimpleNamespace

import pytest

from rgacli.bench import parts
from rgacli.bench.parts import parts_of


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
    found = parts_of(lambda: step.whole(), [(step, "whole", "rest"), (step, "inner", "inner")], repeats=3)
    assert found == {"rest": 3, "inner": 20}


def test_parts_of_one_name_add_up_and_what_is_not_called_has_no_entry(step):
    timed = [(step, "whole", "all"), (step, "inner", "all"), (step, "spend", "spending")]
    assert parts_of(lambda: step.whole(), timed, repeats=1) == {"all": 0, "spending": 23}
    assert parts_of(lambda: None, timed, repeats=1) == {}


def test_methods_are_as_they_were_afterwards(step):
    step.inner = own = lambda: step.spend(5)  # put there before, as RGA's hook does
    with pytest.raises(ZeroDivisionError):
        parts_of(lambda: 1 / 0, [(step, "whole", "a"), (step, "inner", "b")], repeats=1)
    assert step.inner is own
    assert "whole" not in vars(step)
    assert parts_of(step.whole, [(step, "inner", "b")], repeats=1) == {"b": 10}
