"""How the command line spells what messages name: `--epochs 0` for a parameter, `rgacli data check` for a function."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import typer
from typer.main import get_command

COMMANDS = {
    "train": "train",
    "evaluate": "eval",
    "ensemble": "ensemble",
    "positives": "analyze positives",
    "accuracy": "analyze accuracy",
    "gradients": "analyze gradients",
    "proposals": "analyze proposals",
    "scores": "analyze scores",
    "gt_bins": "analyze gt-bins",
    "error_types": "analyze errors",
    "calibration": "analyze calibration",
    "count_error": "analyze count-error",
    "analyze_dataset": "analyze dataset",
    "report": "analyze report",
    "predict": "predict",
    "export_fold": "export fold",
    "export_head": "export head",
    "export_onnx": "export onnx",
    "synth_dataset": "data synth",
    "check_dataset": "data check",
    "convert_dataset": "data convert",
    "prepare_crowdhuman": "data crowdhuman",
    "list_runs": "runs list",
    "show_run": "runs show",
    "remove_runs": "runs rm",
    "prune_runs": "runs prune",
    "bench_all": "bench all",
    "bench_train": "bench train",
    "bench_infer": "bench infer",
    "bench_eval": "bench eval",
    "bench_data": "bench data",
    "bench_startup": "bench startup",
    "configs": "configs",
    "doctor": "doctor",
    "reproduce": "reproduce",
}
"""Function of `rgacli.api` -> its command."""

# Parameters whose options do not bear their names, in every command that has them.
_OPTIONS = {"settings": "--set"}


class CommandLine:
    """The spelling of parameters as the options and arguments of a command.

    Args:
        command: The command that was called; None where it is not known.
    """

    def __init__(self, command: typer.core.TyperCommand | None = None) -> None:
        self._parameters = {parameter.name: parameter for parameter in command.params} if command else {}

    def parameter(self, name: str, value: str | None) -> str:
        """Return `--epochs 0`, `--no-rga`, `RUN`."""
        own = self._parameters.get(name)
        if own is not None and own.param_type_name == "argument":
            return own.metavar.removesuffix("...")
        names = (own.opts, own.secondary_opts) if own else ([_OPTIONS.get(name, f"--{name.replace('_', '-')}")], [])
        option = max(names[0], key=len)
        if value in ("True", "False") and (own is None or own.is_flag):
            negation = max(names[1], key=len) if names[1] else f"--no-{option.removeprefix('--')}"
            return option if value == "True" else negation
        return option if value is None else f"{option} {value}"

    def function(self, name: str) -> str:
        """Return `rgacli data check`, in quotes; a function without a command as Python has it."""
        return f"`rgacli {COMMANDS[name]}`" if name in COMMANDS else f"rgacli.{name}"

    def call(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Return `rgacli train quickstart --lambda0 7 --seed 1`."""
        own = CommandLine(_command(COMMANDS[name]))
        words = [word for key, value in parameters.items() if value is not None for word in own._words(key, value)]
        return shlex.join(["rgacli", *COMMANDS[name].split(), *words])

    def _words(self, name: str, value: Any) -> Iterator[str]:
        """Yield what gives a parameter this value: of a list each of its own, or all with commas if it takes one."""
        own = self._parameters[name]
        if isinstance(value, Mapping):
            value = [f"{key}={one}" for key, one in value.items()]
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if own.param_type_name == "argument":
            yield from map(str, values)
            return
        if len(values) > 1 and not own.multiple:
            values = [",".join(map(str, values))]
        for one in values:
            if one is not False or own.secondary_opts:  # that a flag is not set, only its absence says
                yield from self.parameter(name, str(one)).split(" ", 1)


@cache
def _command(words: str) -> typer.core.TyperCommand:
    """Return the command that is called by these words; building it takes as long as hundreds of calls to spell."""
    from rgacli.cli.app import app  # which lists the commands, whose modules import this one

    found = get_command(app)
    for word in words.split():
        found = found.commands[word]
    return found
