"""The `rgacli` command and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

import rgacli
from rgacli.cli import analyze, bench, configs, data, doctor, ensemble, eval, export, predict, runs, train
from rgacli.cli.command import Command
from rgacli.cli.launch import LaunchedCommand

app = typer.Typer(
    name="rgacli",
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
    """Take the options that stand before the subcommand."""


app.command("train", cls=LaunchedCommand)(train.train)
app.command("eval", cls=LaunchedCommand)(eval.eval)
app.command("ensemble", cls=Command)(ensemble.ensemble)
app.add_typer(analyze.app, name="analyze")
app.add_typer(data.app, name="data")
app.add_typer(export.app, name="export")
app.command("predict", cls=Command)(predict.predict)
app.add_typer(runs.app, name="runs")
app.add_typer(bench.app, name="bench")
app.command("configs", cls=Command)(configs.configs)
app.command("doctor", cls=Command)(doctor.doctor)


def main() -> None:
    """Run the installed `rgacli`."""
    app()
