"""Calls spelled as commands: what is printed and kept of a sweep's jobs, to be repeated by hand."""

import shlex

import pytest

from rgacli.cli.app import app
from rgacli.cli.spelling import CommandLine
from rgacli.reproduction.sweep import MEASURES
from tests.cli.commands import commands

BY_NAME = commands(app)


def call(name, **parameters):
    return CommandLine().call(name, parameters)


def parsed(text):
    """What the command's function would be called with, but for what is as usual."""
    words = shlex.split(text)
    assert words[0] == "rgacli"
    name = max((each for each in BY_NAME if words[1:][: len(each.split())] == each.split()), key=len)
    command = BY_NAME[name]
    usual = command.make_context(name, []).params if name == "train" else {}
    given = command.make_context(name, words[1 + len(name.split()) :]).params
    return {key: value for key, value in given.items() if key not in usual or value != usual[key]}


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("train", {}, "rgacli train"),
        ("train", {"config": "quickstart", "lambda0": 7, "seed": 0}, "rgacli train quickstart --lambda0 7 --seed 0"),
        ("train", {"lambda0": None, "seed": 1}, "rgacli train --seed 1"),
        ("train", {"rga": False, "prm": True}, "rgacli train --no-rga --prm"),
        ("train", {"scale_lr": False, "amp": True}, "rgacli train --no-scale-lr --amp"),
        ("train", {"amp": False, "compile": False, "seed": 1}, "rgacli train --seed 1"),
        ("train", {"settings": ["a.b=1", "c=[1, 2]"]}, "rgacli train --set a.b=1 --set 'c=[1, 2]'"),
        ("train", {"settings": {"a.b": 1, "c": [1, 2]}}, "rgacli train --set a.b=1 --set 'c=[1, 2]'"),
        ("train", {"settings": []}, "rgacli train"),
        ("train", {"ratios": "1:1,1:9"}, "rgacli train --ratios 1:1,1:9"),
        ("train", {"ratios": ["1:1", "1:9"]}, "rgacli train --ratios 1:1,1:9"),
        ("train", {"work_dir": "a b/it's"}, """rgacli train --work-dir 'a b/it'"'"'s'"""),
        ("evaluate", {"run": "runs/a", "head": "all"}, "rgacli eval runs/a --head all"),
        ("gt_bins", {"runs": ["a", "b c"], "bootstrap": 0}, "rgacli analyze gt-bins a 'b c' --bootstrap 0"),
        ("positives", {"runs": "a"}, "rgacli analyze positives a"),
        (
            "ensemble",
            {"runs": ["a", "b"], "method": ["ensemble", "wbf"], "results": {"x": "y.json"}},
            "rgacli ensemble a b --method ensemble --method wbf --results x=y.json",
        ),
    ],
)
def test_a_call_is_a_command_that_can_be_repeated(name, parameters, text):
    assert call(name, **parameters) == text


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": "quickstart", "lambda0": 7.5, "ratios": "1:1,1:9", "anneal": "none", "sampling": "hard", "seed": 3},
        {"rga": False, "prm": False, "scale_lr": False, "ema": True, "resume": True},
        {"epochs": 2, "lr": 1e-05, "probe_gradients": 50, "device": "cpu"},
        {"settings": ["model.backbone.depth=34", "a=[8, 16]", "b='it''s'", "--c=-1"], "track": ["wandb", "mlflow"]},
    ],
)
def test_what_is_spelled_is_read_as_it_was_meant(parameters):
    assert parsed(call("train", **parameters)) == parameters


def test_paths_are_read_as_they_were_meant(tmp_path):
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    found = parsed(call("train", data=str(folder), work_dir=str(folder / "new")))
    assert found == {"data": folder, "work_dir": folder / "new"}


@pytest.mark.parametrize(("name", "key"), [("ensemble", "runs"), *((each, "runs") for each in MEASURES[1:])])
def test_several_runs_are_read_one_by_one(name, key, tmp_path):
    runs = [str(tmp_path / each) for each in ("a", "b c")]
    found = parsed(call(name, **{key: runs, "out": str(tmp_path / "figure")}))
    assert (found[key], found["out"]) == (runs, tmp_path / "figure")
