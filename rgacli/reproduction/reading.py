"""Reading a sweep from YAML; `assets/evidence/embedded.yaml` is one that has all of the format."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from rgacli.errors import UsageError
from rgacli.reproduction.sweep import MEASURES, Claim, Expected, Figure, Quantity, Row, Sweep, Table

SOURCE = "weights_of"
"""What an arm says the arm by whose weights it starts."""
_COLUMNS = ("AP", "AP50", "AP75")
_KEYS = {
    "the sweep": ("title", "seeds", "bins", "train", "arms", "grid", "combined", "tables"),
    "table": ("title", "measures", "columns", "rows", "claims", "figure"),
    "row": ("row", "arm", "cells", "paper"),
    "claim": ("claim", "quantity", "expected", "margin", "paper"),
    "figure": ("function", "arms"),
}


class _Loader(yaml.SafeLoader):
    """YAML in which 1:9 is a ratio and 1e-3 a number: by YAML 1.1 they are 69, in base 60, and a text.

    An arm written twice is an error, where PyYAML keeps the second.
    """

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)  # not merged by `<<` yet, by which a key may come twice
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' comes twice", key.start_mark)
            seen.add(key.value)
        return node


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in _NUMBERS]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_NUMBERS[0], re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _NUMBERS[1],
    re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)


def read_sweep(path: Path) -> tuple[Sweep, dict[str, Any]]:
    """Return the sweep in a file, and the parameters of all its trainings (`train`).

    Raises:
        UsageError: there is no such file, or something in it is not as it should be: says what and where.
    """
    content = read_yaml(path)
    try:
        return sweep_of(content, path.stem)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message.removeprefix(f'{path.stem}: ')}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    try:
        with path.open(encoding="utf-8") as file:  # of which errors tell the line, and no excerpt
            content = yaml.load(file, _Loader)  # a SafeLoader
    except FileNotFoundError:
        raise UsageError(f"there is no sweep {path}.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise UsageError(f"{path} is no YAML: {what}.") from None
    return _mapping(content, str(path))


def sweep_of(content: Mapping[str, Any], name: str) -> tuple[Sweep, dict[str, Any]]:
    """Return the sweep that a file's content describes, and the parameters of all its trainings.

    Raises:
        UsageError: see `read_sweep`.
    """
    _require_keys(content, "the sweep", name)
    arms = _arms(content)
    for arm, own in arms.items():
        if SOURCE in own and "weights" in own:
            raise UsageError(f"arm '{arm}' has {SOURCE} and weights: it can start from one of them.")
    sources = {arm: own.pop(SOURCE) for arm, own in arms.items() if SOURCE in own}
    combined = {
        str(key): tuple(map(str, _list(members, f"combined '{key}'")))
        for key, members in _mapping(content.get("combined") or {}, "combined").items()
    }
    tables = _mapping(content.get("tables") or {}, "tables")
    sweep = Sweep(
        name=name,
        title=str(content.get("title") or name),
        arms=arms,
        combined=combined,
        trained_from=sources,
        tables=tuple(table_of(str(key), _mapping(own, f"table '{key}'")) for key, own in tables.items())
        or (_all_of((*arms, *combined)),),
        seeds=_seeds(content.get("seeds", 5)),
        bins=None if content.get("bins") is None else str(content["bins"]),
    )
    return sweep, _mapping(content.get("train") or {}, "train")


def table_of(name: str, content: Mapping[str, Any], rows: Sequence[Row] = ()) -> Table:
    """Return a table.

    Args:
        name: The table's.
        content: As the file has it.
        rows: Before those of the file.

    Raises:
        UsageError: something in it is not as it should be.
    """
    where = f"table '{name}'"
    _require_keys(content, "table", where)
    measures = tuple(map(str, _list(content.get("measures", ["evaluate"]), f"{where}: measures")))
    for measure in measures:
        if measure not in MEASURES:
            raise UsageError(f"{where}: measure '{measure}' is none of {', '.join(MEASURES)}.")
    columns = _list(content.get("columns", list(_COLUMNS)), f"{where}: columns")
    own = [_row(each, columns, where) for each in _list(content.get("rows") or [], f"{where}: rows")]
    claims = [_claim(each, where) for each in _list(content.get("claims") or [], f"{where}: claims")]
    return Table(
        name=name,
        title=str(content.get("title") or name),
        rows=(*rows, *own),
        claims=tuple(claims),
        measures=measures,
        figure=_figure(content["figure"], where) if content.get("figure") else None,
    )


def _arms(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    arms = {
        str(name): dict(_mapping({} if own is None else own, f"arm '{name}'"))
        for name, own in _mapping(content.get("arms") or {}, "arms").items()
    }
    grid = _mapping(content.get("grid") or {}, "grid")
    values = [_list(each, f"grid: {key}") for key, each in grid.items()]
    for key, each in zip(grid, values, strict=True):
        if not each:
            raise UsageError(f"grid: {key} has no values.")
    for chosen in itertools.product(*values) if grid else ():
        own = dict(zip(grid, chosen, strict=True))
        name = _grid_name(own)
        if name in arms:
            raise UsageError(f"grid: there are two arms of the name '{name}': list one of them by a name of its own.")
        arms[name] = own
    if not arms:
        raise UsageError("there is nothing to train: give arms, or a grid of parameters.")
    return arms


def _grid_name(own: Mapping[str, Any]) -> str:
    """Return a name for a point of a grid that can be a folder's: "lambda0=7,ratios=1to1+1to9"."""

    def plain(value: Any) -> str:
        text = str(value).replace(":", "to").replace(",", "+")
        return "".join(letter if letter.isalnum() or letter in "+.-_" else "-" for letter in text)

    return ",".join(f"{key}={plain(value)}" for key, value in own.items())


def _all_of(arms: Sequence[str]) -> Table:
    """Return a table of what each arm is worth."""
    cells = {arm: {column: Quantity.parse(f"{arm}/{column}") for column in _COLUMNS} for arm in arms}
    return Table("all", "what each arm is worth", tuple(Row(arm, own) for arm, own in cells.items()))


def _seeds(given: Any) -> tuple[int, ...]:
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return tuple(range(given))
    if isinstance(given, list) and given and all(type(seed) is int and seed >= 0 for seed in given):
        return tuple(dict.fromkeys(given))
    raise UsageError(f"seeds: {given!r} is neither a number of them, 1 or more, nor a list of seeds.")


def _row(content: Any, columns: Sequence[Any], where: str) -> Row:
    content = _mapping(content, f"{where}: row")
    _require_keys(content, "row", where)
    label = str(content.get("row", content.get("arm", "")))
    own = f"{where}: row '{label}'"
    cells = {}
    if "arm" in content:
        cells = {str(column): _quantity(f"{content['arm']}/{column}", own) for column in columns}
    for column, text in _mapping(content.get("cells") or {}, f"{own}: cells").items():
        cells[str(column)] = _quantity(text, own)
    if not cells:
        raise UsageError(f"{own} has neither an arm nor cells.")
    paper = {
        str(column): _number(value, f"{own}: paper: {column}")
        for column, value in _mapping(content.get("paper") or {}, f"{own}: paper").items()
    }
    return Row(label, cells, paper)


def _claim(content: Any, where: str) -> Claim:
    content = _mapping(content, f"{where}: claim")
    _require_keys(content, "claim", where)
    for key in ("claim", "quantity"):
        if key not in content:
            raise UsageError(f"{where}: a claim has no {key}.")
    own = f"{where}: claim '{content['claim']}'"
    expected = content.get("expected", "positive")
    if expected not in get_args(Expected):
        raise UsageError(f"{own}: expected is {expected!r}, but it can be {', '.join(get_args(Expected))}.")
    margin = _number(content.get("margin", 0), f"{own}: margin")
    if margin < 0 or (expected == "zero") != (margin > 0):
        raise UsageError(f"{own}: a margin above 0 goes with expected: zero, and the other way round.")
    paper = content.get("paper")
    return Claim(
        str(content["claim"]),
        _quantity(content["quantity"], own),
        expected,
        margin,
        None if paper is None else _number(paper, f"{own}: paper"),
    )


def _quantity(text: Any, where: str) -> Quantity:
    try:
        return Quantity.parse(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}") from None


def _figure(content: Any, where: str) -> Figure:
    content = _mapping(content, f"{where}: figure")
    _require_keys(content, "figure", where)
    function = content.get("function")
    if function not in MEASURES or function == "evaluate":
        raise UsageError(f"{where}: figure: function {function!r} draws none; {', '.join(MEASURES[1:])} do.")
    arms = tuple(map(str, _list(content.get("arms") or [], f"{where}: figure: arms")))
    if not arms:
        raise UsageError(f"{where}: figure: it names no arms.")
    return Figure(function, arms)


def _require_keys(content: Mapping[str, Any], what: str, where: str) -> None:
    unknown = [key for key in content if key not in _KEYS[what]]
    if unknown:
        raise UsageError(f"{where}: '{unknown[0]}' is not known here; {what} has {', '.join(_KEYS[what])}.")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} holds {_kind(value)}, not keys with values.")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{where} is {_kind(value)}, not a list.")
    return value


def _number(value: Any, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise UsageError(f"{where} is {_kind(value)}, not a number.")
    if not math.isfinite(value):
        raise UsageError(f"{where} is {value}, not a finite number.")
    return float(value)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"the {type(value).__name__} {value!r}"
