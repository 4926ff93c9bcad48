"""How a command runs: messages and errors leave it as lines on stderr, spelled for the command line."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from rgacli.cli.output import TYPERS_OWN, messages, say
from rgacli.cli.spelling import CommandLine
from rgacli.cli.stdout import flushed_stdout
from rgacli.errors import RgacliError, Unforeseen, UsageError, chain, explain
from rgacli.messages import LOGGER, Message
from rgacli.wording import spelled, spelling_for


class Command(TyperCommand):
    """A command whose errors are one line each, with their exit code; with --debug, a traceback."""

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command."""
        if ctx.params.get("device") == "cpu":  # before torch looks for any, and for processes to be started
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # what MPS has no kernel for runs on the CPU
        if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal has no characters for is no error
            sys.stdout.reconfigure(errors="backslashreplace")
        with _messages_shown(CommandLine(self)):
            try:
                _require_working_folder()
                with flushed_stdout():
                    return self.run(ctx)
            except TYPERS_OWN:
                raise
            except Exception as error:
                if not isinstance(error, RgacliError) and (interrupt := _interrupt_behind(error)):
                    raise interrupt from None
                if ctx.find_root().params.get("debug"):
                    raise
                known = explain(error)
                print_error(known, self)
                raise typer.Exit(known.exit_code) from None

    def run(self, ctx: typer.Context) -> Any:
        """Call the function with its parameters."""
        return super().invoke(ctx)


class DefaultGroup(TyperGroup):
    """A group of commands, one of which is meant where none is named.

    Attributes:
        default: That command.
    """

    default: ClassVar[str]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Put it before its options."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def _require_working_folder() -> None:
    """Raise a UsageError if the working folder was removed: torch's MKL ends the process then, in its own words."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the working folder is gone: change to one that is there.") from None


def _interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the Ctrl-C that an error was made of: mmengine takes one for a fault of the config that it formats."""
    return next((each for each in chain(error) if isinstance(each, KeyboardInterrupt)), None)


def print_error(error: RgacliError, command: TyperCommand, prefix: str = "") -> None:
    """Print an error as one line."""
    where = " (rgacli --debug … shows where)" if isinstance(error, Unforeseen) else ""
    messages.print(f"error: {prefix}{spelled(error.message, CommandLine(command))}{where}", style="bold red")


@contextmanager
def _messages_shown(speller: CommandLine) -> Iterator[None]:
    """Show what the library tells meanwhile."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            (message,) = record.args if record.args and isinstance(record.args[0], Message) else (None,)
            say(spelled(message.text, speller) if message else record.getMessage())

    handler, level = Handler(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        with spelling_for(speller):
            yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
