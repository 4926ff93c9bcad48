"""The `rgacli` command and its subcommands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, ClassVar

import typer

import rgacli
from rgacli.cli.lazy import LazyGroup
from rgacli.cli.stdout import flushed_stdout


class _Rgacli(LazyGroup):
    package = "rgacli.cli"
    summaries: ClassVar = {
        "train": "Train a two-stage detector with R-CNN Gradient Annealing and Parallel R-CNN Modules.",
        "eval": "Measure COCO AP of a trained detector: its ensemble, one R-CNN head, or all; of boxes and, if any, "
        "masks.",
        "ensemble": "Measure which way of combining heads is best, on which images, and at what cost.",
        "predict": "Detect objects on images and videos of your own: annotated pictures, and the detections as COCO "
        "JSON.",
        "reproduce": "Run a table or figure of the paper, or a sweep of your own, and set it beside the paper's "
        "numbers.",
        "configs": "List the bundled configs with the results to hold them to, or print one fully resolved.",
        "doctor": "Print what a bug report needs: versions, native ops, devices, dataset defaults, whether a tiny "
        "step works.",
        "analyze": "Look inside: figures and tables of the paper, for your own data.",
        "data": "Make the synthetic dataset, prepare CrowdHuman, check a dataset before training on it, or convert "
        "one.",
        "export": "Hand a trained detector on: as a stock mmdet model or an ONNX file, which take none of rgacli to "
        "run.",
        "runs": "List runs (`rgacli runs` alone does: see `rgacli runs list --help`), show one, or free disk space.",
        "bench": "Measure the speed of training, inference, evaluation, loading and starting, beside mmdet's, "
        "torchvision's and pycocotools' (`rgacli bench` alone measures all: see `rgacli bench all --help`).",
    }


app = typer.Typer(
    name="rgacli",
    cls=_Rgacli,
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


def main(arguments: Sequence[str] | None = None, name: str | None = None) -> None:
    """Run `rgacli`, and exit.

    Args:
        arguments: By default this process's.
        name: What the help calls it; by default as it was called.
    """
    try:
        with flushed_stdout():  # of the help, too
            app(arguments, prog_name=name)
    except OSError as error:
        from rgacli.errors import explain

        known = explain(error)
        print(f"error: {known}", file=sys.stderr)
        raise SystemExit(known.exit_code) from None
