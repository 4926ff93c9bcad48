"""Names of parameters and functions inside messages, spelled for whoever reads them.

A message says `param("epochs", 0)`, not `--epochs 0`: as text it then reads `epochs=0`, as a caller in Python wrote it,
and the command line spells it its own way (`spelled`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

# Control characters stand in no user's text. A mark is KIND, a name and, after a separator, maybe a value.
_PARAMETER, _FUNCTION, _VALUE, _END = "\x0e", "\x0f", "\x1f", "\x04"
_MARK = re.compile(rf"([{_PARAMETER}{_FUNCTION}])([^{_VALUE}{_END}]*)(?:{_VALUE}([^{_END}]*))?{_END}")
_NONE = object()


class Speller(Protocol):
    """How somebody spells what messages name."""

    def parameter(self, name: str, value: str | None) -> str:
        """Spell a parameter of the function that was called, with its value or without."""
        ...

    def function(self, name: str) -> str:
        """Spell a function of `rgacli`, such as "evaluate"."""
        ...

    def call(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Spell a call of such a function as it can be repeated."""
        ...


class Python:
    """The spelling that a caller in Python reads: `epochs=0`, `rgacli.evaluate`."""

    def parameter(self, name: str, value: str | None) -> str:
        """See Speller."""
        return name if value is None else f"{name}={value}"

    def function(self, name: str) -> str:
        """See Speller."""
        return f"rgacli.{name}"

    def call(self, name: str, parameters: Mapping[str, Any]) -> str:
        """See Speller."""
        return f"{self.function(name)}({', '.join(f'{key}={value!r}' for key, value in parameters.items())})"


_SPELLER: ContextVar[Speller] = ContextVar("speller", default=Python())  # noqa: B039, it has no state


@contextmanager
def spelling_for(speller: Speller) -> Iterator[None]:
    """Have all that is spelled in the block spelled for whom it is for."""
    token = _SPELLER.set(speller)
    try:
        yield
    finally:
        _SPELLER.reset(token)


def param(name: str, value: Any = _NONE) -> str:
    """Return a mark for a parameter's name, with the value that it was given."""
    return _PARAMETER + name + ("" if value is _NONE else f"{_VALUE}{value}") + _END


def function(name: str) -> str:
    """Return a mark for a function of the package."""
    return _FUNCTION + name + _END


def called(name: str, parameters: Mapping[str, Any]) -> str:
    """Return a call of a function of the package, spelled so that it can be repeated: `rgacli train --seed 1`."""
    return _SPELLER.get().call(name, parameters)


def spelled(text: str, speller: Speller | None = None) -> str:
    """Return a message with its marks spelled out, by a speller or by that of `spelling_for`; else as Python has it."""
    speller = speller or _SPELLER.get()

    def spell(mark: re.Match) -> str:
        kind, name, value = mark.groups()
        return speller.parameter(name, value) if kind == _PARAMETER else speller.function(name)

    return _MARK.sub(spell, text)


def sentence(text: str) -> str:
    """Return a text with a full stop, and its first letter large unless a name begins it: "bccd-1 gains"."""
    first = text.partition(" ")[0].rstrip(":,;")
    begin = text[:1].upper() if first.isalpha() else text[:1]
    return f"{begin}{text[1:].removesuffix('.')}."


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first of some names, and how many more there are: "a, b, c, d, e and 7 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
