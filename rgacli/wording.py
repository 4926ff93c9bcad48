"""Names of parameters and functions inside messages, spelled for whoever reads them.

A message says `param("epochs", 0)`, not `--epochs 0`: as text it then reads `epochs=0`, as a caller in Python wrote it,
and the command line spells it its own way (`spelled`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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


class Python:
    """The spelling that a caller in Python reads: `epochs=0`, `rgacli.evaluate`."""

    def parameter(self, name: str, value: str | None) -> str:
        """See Speller."""
        return name if value is None else f"{name}={value}"

    def function(self, name: str) -> str:
        """See Speller."""
        return f"rgacli.{name}"


def param(name: str, value: Any = _NONE) -> str:
    """Return a mark for a parameter's name, with the value that it was given."""
    return _PARAMETER + name + ("" if value is _NONE else f"{_VALUE}{value}") + _END


def function(name: str) -> str:
    """Return a mark for a function of the package."""
    return _FUNCTION + name + _END


def spelled(text: str, speller: Speller | None = None) -> str:
    """Return a message with its marks spelled out; as for a caller in Python without a speller."""
    speller = speller or Python()

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
