"""The `rgacli` command: its subcommands, and how errors leave it."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

import rgacli
from rgacli.cli.output import messages
from rgacli.errors import explain


class OneLineErrors(TyperGroup):
    """Shows an error that is meant for the user as one line, and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            known = explain(error)
            if known is None or ctx.params.get("debug"):
                raise
            messages.print(f"error: {known}", style="bold red", markup=False)
            raise typer.Exit(known.exit_code) from None


app = typer.Typer(
    name="rgacli",
    cls=OneLineErrors,
    help="Train, evaluate and analyse two-stage detectors with R-CNN Gradient Annealing (RGA) "
    "and Parallel R-CNN Modules (PRM).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(rgacli.__version__)
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the subcommand."""


for module, name in {"train": "train", "eval": "eval", "ensemble": "ensemble", "doctor": "doctor"}.items():
    app.command(name)(getattr(importlib.import_module(f"rgacli.cli.{module}"), name))
for module in ("analyze", "data"):
    app.add_typer(importlib.import_module(f"rgacli.cli.{module}").app, name=module)


def main() -> None:
    """Entry point of the installed `rgacli`."""
    app()
