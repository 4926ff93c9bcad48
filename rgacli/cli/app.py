"""The `rgacli` command: its subcommands, and how errors leave it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import rgacli
from rgacli.cli import analyze, configs, data, doctor, ensemble, eval, export, predict, train
from rgacli.cli.launch import LaunchedCommand
from rgacli.cli.output import TYPERS_OWN, messages
from rgacli.errors import explain


class OneLineErrors(TyperGroup):
    """Shows an error as one line and ends with its exit code; with --debug, as a traceback."""

    def invoke(self, ctx: typer.Context) -> Any:
        """Runs the subcommand."""
        try:
            return super().invoke(ctx)
        except TYPERS_OWN:
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            known = explain(error)
            messages.print(f"error: {known}", style="bold red")
            raise typer.Exit(known.exit_code) from None


app = typer.Typer(
    name="rgacli",
    cls=OneLineErrors,
    help="Train, evaluate and analyse two-stage detectors with R-CNN Gradient Annealing (RGA) "
    "and Parallel R-CNN Modules (PRM).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
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


app.command("train", cls=LaunchedCommand)(train.train)
app.command("eval", cls=LaunchedCommand)(eval.eval)
app.command("ensemble")(ensemble.ensemble)
app.add_typer(analyze.app, name="analyze")
app.add_typer(data.app, name="data")
app.add_typer(export.app, name="export")
app.command("predict")(predict.predict)
app.command("configs")(configs.configs)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point of the installed `rgacli`."""
    app()
