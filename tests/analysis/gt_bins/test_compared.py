import pytest

from rgacli.analysis.gt_bins.compared import Training, by_name, by_training, find_baseline
from rgacli.errors import UsageError

LONG, SHORT = (
    {"annealing": "λ0 7 (linear)", "length": "24 epochs"},
    {"annealing": "λ0 7 (linear)", "length": "12 epochs"},
)
PRM = Training(("1:1", "1:9", "ensemble"), None, SHORT)


def single(ratio, settings=SHORT):
    return Training((ratio,), ratio, settings)


def lines(compared):
    return {one.name: one.line for one in compared}


@pytest.mark.parametrize(
    ("name", "run", "head", "place", "line"),
    [
        ("1:9", "", "1:9", "1:9", "heads"),
        ("ensemble", "", "ensemble", "ensemble", "heads"),
        ("runs/a b 1:1#2", "runs/a b", "1:1#2", "1:1#2", "runs/a b"),
        ("mine ensemble", "mine", "ensemble", "ensemble", "mine"),
        (
            "RetinaNet (torchvision)",
            "",
            "RetinaNet (torchvision)",
            "RetinaNet (torchvision)",
            "RetinaNet (torchvision)",
        ),
        ("at 0:9", "", "at 0:9", "at 0:9", "at 0:9"),
    ],
)
def test_names_that_end_in_a_head_are_of_a_run(name, run, head, place, line):
    [found] = by_name([name])
    assert (found.run, found.head, found.place, found.line) == (run, head, place, line)


def test_runs_that_differ_in_their_ratio_alone_are_one_line_and_heads_of_a_run_are_one():
    stock = Training(("detector",), "1:3", SHORT)
    compared = by_training({"a": single("1:1"), "stock": stock, "b": single("1:9"), "prm": PRM})
    assert lines(compared) == {
        "a 1:1": "separately trained",
        "stock detector": "separately trained",
        "b 1:9": "separately trained",
        "prm 1:1": "prm (PRM)",
        "prm 1:9": "prm (PRM)",
        "prm ensemble": "prm (PRM)",
    }
    assert [one.place for one in compared] == ["1:1", "1:3", "1:9", "1:1", "1:9", "ensemble"]


def test_lines_are_told_apart_by_what_differs_and_by_no_more():
    runs = {"a": single("1:1"), "b": single("1:9"), "c": single("1:1", LONG), "d": single("1:9", LONG)}
    found = lines(by_training(runs))
    assert found["a 1:1"] == found["b 1:9"] == "separately trained, 12 epochs"
    assert found["c 1:1"] == found["d 1:9"] == "separately trained, 24 epochs"


def test_a_run_alone_with_its_settings_is_a_line_of_its_own():
    found = lines(by_training({"a": single("1:1"), "b": single("1:9"), "c": single("1:1", LONG)}))
    assert set(found.values()) == {"separately trained", "c"}


def test_repeated_runs_are_lines_of_their_own():
    found = lines(by_training({f"{ratio}-{seed}": single(ratio) for seed in (0, 1) for ratio in ("1:1", "1:9")}))
    assert list(found.values()) == ["separately trained"] * 2 + ["separately trained (2)"] * 2


def test_runs_of_unknown_ratios_are_on_no_line():
    dense = Training(("detector",), None, SHORT)
    compared = by_training({"x": dense, "y": dense})
    assert [(one.name, one.place, one.line) for one in compared] == [("x detector", "x", "x"), ("y detector", "y", "y")]


def test_heads_of_one_run_go_by_their_own_names():
    assert [(one.name, one.run) for one in by_training({"prm": PRM})] == [(head, "") for head in PRM.heads]
    [alone] = by_training({"stock": Training(("detector",), "1:3", SHORT)})
    assert (alone.name, alone.place) == ("detector", "1:3")


RUNS = by_training({"base": single("1:3"), "prm": PRM})


@pytest.mark.parametrize(
    ("compared", "asked", "baseline"),
    [
        (RUNS, None, "base 1:3"),
        (RUNS, "prm", "prm ensemble"),
        (RUNS, "base", "base 1:3"),
        (RUNS, "prm 1:9", "prm 1:9"),
        (by_training({"prm": PRM}), None, "ensemble"),
        (by_training({"prm": PRM}), "1:1", "1:1"),
        (by_name(["x", "y"]), None, "x"),
        (by_name(["x", "1:1", "ensemble"]), None, "ensemble"),
        (by_name(["x"]), None, None),
        (by_name(["x"]), "x", "x"),
    ],
)
def test_baseline(compared, asked, baseline):
    assert find_baseline(compared, asked) == baseline


@pytest.mark.parametrize("asked", ["1:1", "gone", "", "ensemble"])
def test_an_unknown_baseline_is_refused(asked):
    with pytest.raises(UsageError, match=r"baseline=.*there are base 1:3, prm 1:1, prm 1:9, prm ensemble"):
        find_baseline(RUNS, asked)


def test_a_run_without_an_ensemble_is_no_baseline():
    with pytest.raises(UsageError, match="no such detections"):
        find_baseline(by_name(["a 1:1", "a 1:9", "b"]), "a")
