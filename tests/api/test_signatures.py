"""Every function of the API is its command, and the other way round."""

import importlib
import inspect

import pytest

import rgacli
from rgacli.cli.app import app
from rgacli.cli.spelling import COMMANDS
from tests.cli.commands import commands

TERMINAL_ONLY = {"json", "yes"}
"""Parameters of commands that a caller in Python has no use for: it has the values, and means what it asks for."""
LAUNCHED = {"context", "gpus", "nnodes", "node_rank", "rdzv_endpoint", "launcher"}
"""Of those that start processes, which run the command line anew."""
PYTHON_ONLY = {"progress"}
"""Of functions: the command line shows progress itself."""


@pytest.mark.parametrize("function", COMMANDS)
def test_a_function_takes_what_its_command_does(function):
    own = inspect.signature(getattr(rgacli, function)).parameters
    command = inspect.signature(commands(app)[COMMANDS[function]].callback).parameters
    launched = LAUNCHED if "gpus" in command else set()
    assert own.keys() - PYTHON_ONLY == command.keys() - TERMINAL_ONLY - launched


@pytest.mark.parametrize("function", COMMANDS)
def test_a_function_and_its_command_have_the_same_defaults(function):
    own = inspect.signature(getattr(rgacli, function)).parameters
    command = inspect.signature(commands(app)[COMMANDS[function]].callback).parameters
    for name in own.keys() & command.keys():
        assert own[name].default == command[name].default, name


@pytest.mark.parametrize("function", [*COMMANDS, "load"])
def test_a_function_documents_every_parameter(function):
    called = getattr(rgacli, function)
    documentation = inspect.getdoc(called)
    for name in inspect.signature(called).parameters:
        assert f"{name}:" in documentation or f"{name}," in documentation or f", {name}" in documentation, name


def test_what_the_package_offers_is_what_it_has():
    assert set(COMMANDS) | {"load"} <= set(dir(rgacli))
    for module in {getattr(rgacli, name).__module__ for name in COMMANDS}:
        assert importlib.import_module(module).__name__.startswith("rgacli.api.")
