import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import rgacli
from rgacli.cli.app import app
from rgacli.cli.spelling import COMMANDS as SPELLED
from tests.cli.commands import invoke

HEAVY = ("torch", "mmengine", "mmdet", "matplotlib", "numpy", "hotcoco")


def commands(group=None, path=()):
    """Every command with its place, groups included."""
    group = group or get_command(app)
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())
LISTED = get_command(app).list_commands(None)


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_import_nothing_heavy():
    words = [[*path, "--help"] for path in COMMANDS]
    told = python(
        f"import sys; from rgacli.cli.app import app\nfor words in {words}: app(words, standalone_mode=False)\n"
        f"found = [name for name in {HEAVY} if name in sys.modules]; assert not found, found"
    )
    assert told.count("Usage: ") == len(words)


@pytest.mark.parametrize(
    ("words", "called"),
    [(["--help"], set()), (["--version"], set()), (["train", "--help"], {"train"}), (["data", "--help"], {"data"})],
    ids=" ".join,
)
def test_no_command_is_imported_but_the_one_that_is_called(words, called):
    modules = [f"rgacli.cli.{name}" for name in LISTED]
    told = python(
        f"import sys; from rgacli.cli.app import app; app({words}, standalone_mode=False)\n"
        f"print(*[name for name in {modules} if name in sys.modules])"
    )
    assert set(told.splitlines()[-1].split()) == {f"rgacli.cli.{name}" for name in called}


def test_the_listing_has_every_command_with_the_first_line_of_its_help():
    root = get_command(app)
    assert {words.split()[0] for words in SPELLED.values()} == set(LISTED)
    for name, command in root.commands.items():
        assert command.name == name
        assert root.get_command(None, name).help == command.help.split("\n\n")[0]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_parameter_explains_itself(path):
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_eighty_columns(path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "[[" not in result.stdout


def test_help_runs_its_sentences_on(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    sentence = " ".join(COMMANDS["train",].help.split("\n\n")[1].replace("`", "").split())
    assert sentence in " ".join(invoke("train", "--help").stdout.split())


def test_version():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"{rgacli.__version__}\n")


@pytest.mark.parametrize("words", [["nonsense"], ["train", "--nonsense"], ["analyze", "nonsense"]])
def test_what_is_no_command_or_option_is_a_usage_error(words):
    result = invoke(*words)
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [(["trian"], "Did you mean 'train'?"), (["analyze", "acuracy"], "Did you mean 'accuracy'?")],
)
def test_a_slip_in_a_command_is_answered_by_the_command(words, suggestion):
    assert suggestion in " ".join(invoke(*words).stderr.split())


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("rgacli tr", ["train"]),
        ("rgacli d", ["doctor", "data"]),
        ("rgacli train --la", ["--lambda0", "--launcher"]),
        ("rgacli analyze ac", ["accuracy"]),
    ],
)
def test_the_shell_completes(line, completed):
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_RGACLI_COMPLETE": "complete_bash"}
    result = CliRunner().invoke(app, prog_name="rgacli", env=variables)
    assert result.stdout.split() == completed
