"""Mutations that any input may suffer: of bytes, and of values in JSON."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

ODD: dict[str, Any] = {
    "null": None,
    "true": True,
    "minus one": -1,
    "zero": 0,
    "a fraction": 0.5,
    "1e30": 1e30,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "400 digits": 10**400,
    "2^63": 2**63,
    "no text": "",
    "a text": "x",
    "a text of digits": "1",
    "a long text": "x" * 100_000,
    "a lone surrogate": "\ud800",
    "a NUL": "a\0b",
    "markup": "[red]x[/red] [/] {0} %s \x1b[31m",
    "an empty list": [],
    "a list": [1, 2, 3],
    "an empty object": {},
    "an object": {"type": "x"},
    "lists in lists": [[[[[]]]]],
}
"""Values that are rarely what a key should hold."""


def broken_json(random: Random, text: str) -> tuple[str, bytes]:
    """Return what was done to JSON (an object or list), and what is no JSON any more, or no object or list."""
    whole = text.encode()
    ways: dict[str, Callable[[], bytes]] = {
        "cut short": lambda: whole[: random.randrange(1, len(whole.rstrip()))],
        "empty": lambda: b"",
        "blank": lambda: b" \n" * 10,
        "NULs": lambda: bytes(len(whole)),
        "gzipped": lambda: gzip.compress(whole),
        "CSV": lambda: b"image,x,y,w,h\na.jpg,1,2,3,4\n",
        "in Latin-1": lambda: b'{"description": "caf\xe9", ' + whole.lstrip()[1:],
        "nested without end": lambda: b"[" * 200_000,
        "objects nested without end": lambda: b'{"a":' * 200_000,
        "with a bracket too many": lambda: whole + b"}",
        "twice": lambda: whole + whole,
        "with a comment": lambda: b"// COCO\n" + whole,
        "with single quotes": lambda: whole.replace(b'"', b"'"),
        "of chance bytes": lambda: random.randbytes(1000),
        "null": lambda: b"null",
        "a number": lambda: b"12",
        "a text": lambda: b'"annotations"',
        "one byte lost": lambda: _without(whole, whole.index(b'"')),
    }
    what = random.choice(list(ways))
    return what, ways[what]()


def recoded_json(random: Random, text: str) -> tuple[str, bytes]:
    """Return the same JSON as a reader may meet it: with a BOM, in UTF-16, indented, with another order of keys."""
    content = json.loads(text)
    ways = {
        "with a BOM": lambda: b"\xef\xbb\xbf" + text.encode(),
        "in UTF-16": lambda: text.encode("utf-16"),
        "in UTF-32": lambda: text.encode("utf-32"),
        "indented, with CR LF": lambda: json.dumps(content, indent=4).replace("\n", "\r\n").encode(),
        "keys reversed": lambda: json.dumps(_reversed(content)).encode(),
    }
    what = random.choice(list(ways))
    return what, ways[what]()


def flipped(random: Random, content: bytes, times: int = 1) -> bytes:
    """Return bytes of which some bits are flipped."""
    changed = bytearray(content)
    for _ in range(times):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(random: Random, content: bytes) -> bytes:
    """Return less than all of some bytes, at least one."""
    return content[: random.randrange(1, len(content))]


def mutated(random: Random, content: Any) -> tuple[str, Any]:
    """Return a mutation of JSON's values at a place of chance, and the result: lost, doubled, or another value."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    owner, key, path = random.choice(places)
    way = random.choice(["lost", "doubled", *["another"] * 4])
    if way == "lost":
        del owner[key]
        return f"{path} lost", content
    if way == "doubled" and isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
        return f"{path} doubled", content
    name = random.choice(list(ODD))
    owner[key] = copy.deepcopy(ODD[name])
    return f"{path}: {name}", content


def _places(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Yield (owner, key, path) of all that lies in a value; of a list, only of its first and last."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = sorted({0, len(value) - 1}) if value else []
    else:
        return
    for key in keys:
        yield value, key, f"{path}.{key}".lstrip(".")
        yield from _places(value[key], f"{path}.{key}")


def _without(content: bytes, place: int) -> bytes:
    return content[:place] + content[place + 1 :]


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(one) for one in value] if isinstance(value, list) else value
