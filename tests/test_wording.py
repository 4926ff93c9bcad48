from types import SimpleNamespace

import pytest

from rgacli.cli.app import app
from rgacli.cli.spelling import COMMANDS, CommandLine
from rgacli.errors import UsageError
from rgacli.wording import Python, called, function, param, sentence, spelled, spelling_for
from tests.cli.commands import commands


@pytest.fixture(scope="module")
def train():
    return CommandLine(commands(app)["train"])


@pytest.mark.parametrize(
    ("marked", "python", "command_line"),
    [
        (param("epochs"), "epochs", "--epochs"),
        (param("epochs", 0), "epochs=0", "--epochs 0"),
        (param("batch_size", 2), "batch_size=2", "--batch-size 2"),
        (param("settings", "a.b=1"), "settings=a.b=1", "--set a.b=1"),
        (param("resume", True), "resume=True", "--resume"),
        (param("rga", False), "rga=False", "--no-rga"),
        (param("rga", True), "rga=True", "--rga"),
        (param("config"), "config", "CONFIG"),
        (param("val_ann"), "val_ann", "--val-ann"),
        (function("check_dataset"), "rgacli.check_dataset", "`rgacli data check`"),
        (function("load"), "rgacli.load", "rgacli.load"),
        ("no mark: epochs=0", "no mark: epochs=0", "no mark: epochs=0"),
    ],
)
def test_a_mark_is_spelled_for_whoever_reads_it(train, marked, python, command_line):
    assert spelled(f"before {marked} after") == f"before {python} after"
    assert spelled(f"before {marked} after", train) == f"before {command_line} after"


def test_without_its_command_a_parameter_is_spelled_as_most_are():
    assert spelled(f"{param('max_dets', 100)} {param('rga', False)}", CommandLine()) == "--max-dets 100 --no-rga"


def test_several_marks_and_a_users_brackets_stand_beside_each_other(train):
    text = f"{param('lr', 'nan')}: <epochs> {{lr}} {param('lambda0')}"
    assert spelled(text) == "lr=nan: <epochs> {lr} lambda0"
    assert spelled(text, train) == "--lr nan: <epochs> {lr} --lambda0"


def test_an_error_reads_as_python_and_keeps_what_others_spell():
    error = UsageError(f"{param('epochs', 0)}: too few")
    assert str(error) == "epochs=0: too few"
    assert spelled(error.message, CommandLine()) == "--epochs 0: too few"


def test_every_function_with_a_command_has_one_that_exists():
    assert set(COMMANDS.values()) == {name for name in commands(app) if name}


def test_a_call_is_spelled_as_python_repeats_it():
    parameters = {"config": "a 'b'", "lambda0": 7.0, "rga": False, "settings": ["x=1"]}
    text = called("train", parameters)
    assert text == """rgacli.train(config="a 'b'", lambda0=7.0, rga=False, settings=['x=1'])"""
    assert eval(text, {"rgacli": SimpleNamespace(train=dict)}) == parameters


def test_in_a_block_all_is_spelled_for_whom_it_is_for():
    def spellings():
        return called("evaluate", {"run": "a"}), spelled(f"{param('epochs', 0)} {function('evaluate')}")

    python, command_line = (
        ("rgacli.evaluate(run='a')", "epochs=0 rgacli.evaluate"),
        ("rgacli eval a", "--epochs 0 `rgacli eval`"),
    )
    assert spellings() == python
    with spelling_for(CommandLine()):
        assert spellings() == command_line
        with spelling_for(Python()):
            assert spellings() == python
        assert spellings() == command_line
        assert spelled(param("epochs", 0), Python()) == "epochs=0"  # a speller that is named goes first
    assert spellings() == python


def test_a_block_that_fails_leaves_the_spelling_as_it_was():
    with pytest.raises(ZeroDivisionError), spelling_for(CommandLine()):
        raise ZeroDivisionError
    assert spelled(param("epochs", 0)) == "epochs=0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("it has one head", "It has one head."), ("so: it has", "So: it has."), ("bccd-1 gains.", "bccd-1 gains.")],
)
def test_a_text_becomes_a_sentence_and_a_name_stays_as_it_is(text, expected):
    assert sentence(text) == expected
