"""A group of commands that are imported and built when they are called, not when they are listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class LazyGroup(TyperGroup):
    """A group that lists its commands by name and summary alone.

    Each command is in a module of its name, as the `app` there: a `typer.Typer` with that command alone, or one of
    that name with a group of them.

    Attributes:
        package: Of these modules.
        summaries: Command -> first line of its help, in the order of the listing.
    """

    package: ClassVar[str]
    summaries: ClassVar[Mapping[str, str]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(self.package, self.summaries, self.rich_markup_mode)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:
        """Return what help and completion list of a command; `commands` has the command itself."""
        return TyperCommand(cmd_name, help=self.summaries[cmd_name]) if cmd_name in self.summaries else None

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """Return their names."""
        return list(self.summaries)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name of the command that is called, the command itself, and its arguments."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and self.commands[name], rest


class _Commands(Mapping):
    """Name -> command, built when it is asked for."""

    def __init__(self, package: str, names: Mapping[str, str], rich_markup_mode: Any) -> None:
        self._package, self._names, self._rich_markup_mode = package, names, rich_markup_mode
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._built:
            holder = typer.Typer(rich_markup_mode=self._rich_markup_mode)
            holder.add_typer(import_module(f"{self._package}.{name}").app)
            self._built[name] = get_group(holder).commands[name]
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
