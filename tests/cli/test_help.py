import subprocess
import sys

import pytest
from typer.main import get_command

import rgacli
from rgacli.cli.app import app
from tests.cli.commands import invoke

HEAVY = ("torch", "mmengine", "mmdet", "matplotlib", "numpy", "hotcoco")


def commands(group=None, path=()):
    """Every command with its place, groups included."""
    group = group or get_command(app)
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def test_the_help_imports_nothing_heavy():
    code = "import sys; from rgacli.cli.app import app; app(['--help'], standalone_mode=False)\n" + (
        f"found = [name for name in {HEAVY} if name in sys.modules]; assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout


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
