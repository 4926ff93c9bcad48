"""What a config file runs: it is Python, and of what is written plainly some is looked up and called.

mmengine takes a `type` that it does not know for the name of any Python object, imports it and calls it
(`type="os.system"`); an expression in a `type` of NMS is evaluated by mmcv, and so on. A config that is to run nothing
is one of literals, whose types are registered parts, and which names none of the keys below.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rgacli.config.schema import shortened
from rgacli.errors import UsageError
from rgacli.wording import param

_SCOPES = ("mmdet", "mmengine", "mmcv")
"""Registries' scopes, which are packages that mmengine imports when it meets them."""

_PARTS = ("nms", "soft_nms", "RoIAlign", "RoIPool", "DeformRoIPoolPack", "ModulatedDeformRoIPoolPack")
"""What mmcv and mmdet look up by `type` besides the registries."""

_EXECUTED = {
    "teacher_config": "a config that is run",
    "warp_mode": "an expression that is evaluated",
    "split_file": "a pickle, which runs code when it is loaded",
}
"""Keys of mmdet's own parts whose text is run."""

_PICKLES = (".pkl", ".pickle", ".npy", ".yaml", ".yml")
"""Suffixes by which mmengine and mmdet load a file, an annotation file for one, in a way that can run code."""


def read_safely(path: Path) -> dict[str, Any]:
    """Return what a config file says, without running anything of it.

    Raises:
        UsageError: it is no Python file of literals, it names what would be run, or it inherits.
        OSError, ValueError, SyntaxError: it cannot be read.
    """
    if path.suffix != ".py":
        raise UsageError(f"config {path} is refused by {param('safe', True)}: only .py files are read without running.")
    text = path.read_text(encoding="utf-8")
    statements = ast.parse(text).body
    for line, what in _executed(text, statements, _is_registered):
        raise UsageError(f"config {path} is refused by {param('safe', True)}: line {line}: {what}.")
    return {
        statement.targets[0].id: _value(statement.value)
        for statement in statements
        if isinstance(statement, ast.Assign)
    }


def first_executed(path: Path, seen: tuple[Path, ...] = ()) -> str | None:
    """Return what a config file runs first, with its line: "line 3: `import os` is run"; None where it runs nothing.

    Files that it inherits are looked at as well; packages' own (mmdet::…) are not.

    Args:
        path: The file.
        seen: Those that inherit it.

    Raises:
        OSError, ValueError, SyntaxError: it cannot be read.
    """
    if path.suffix != ".py":
        return None if path.suffix == ".json" else "YAML can name any Python object"
    path = path.resolve()
    text = path.read_text(encoding="utf-8")
    statements = ast.parse(text).body
    inheriting = [statement for statement in statements if _assigned(statement) == "_base_"]
    others = [statement for statement in statements if statement not in inheriting]
    for line, what in _executed(text, others, _looks_registered):
        return f"line {line}: {what}"
    for statement in inheriting:
        for base in _bases(statement.value):
            if base is None:
                return f"line {statement.lineno}: {_shown(statement)} is run"
            if "::" not in base and path not in seen and (found := first_executed(path.parent / base, (*seen, path))):
                return f"{base}, {found}"
    return None


def _bases(node: ast.expr) -> list[str | None]:
    """Return the files that a config inherits; None in place of what is not written plainly."""
    nodes = node.elts if isinstance(node, (ast.List, ast.Tuple)) else [node]
    values = [one.value if isinstance(one, ast.Constant) else None for one in nodes]
    return [value if isinstance(value, str) else None for value in values]


def _executed(text: str, statements: list[ast.stmt], is_part: Callable[[str], bool]) -> Iterator[tuple[int, str]]:
    """Yield line and description of what of a config would be run, looked up by name, or filled in.

    Args:
        text: The file's.
        statements: Those of it that count.
        is_part: Whether a `type` names a part of a detector, and nothing else.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if "{{" in line:
            yield number, "{{…}} is filled in when the config is run"
            break
    for statement in statements:
        name = _assigned(statement)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        if name is None:
            yield statement.lineno, f"{_shown(statement)} is run"
        elif name == "_base_":
            yield statement.lineno, "it inherits from files that are run (_base_); write it out whole"
        elif beyond := next(_beyond_literals(statement.value), None):
            yield beyond.lineno, f"{_shown(beyond)} is run"
        else:
            for key, node in [(name, statement.value), *_entries(statement.value)]:
                if what := _looked_up(key, _value(node), is_part):
                    yield node.lineno, what
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Constant) and str(node.value).lower().endswith(_PICKLES):
                    yield node.lineno, f"{shortened(str(node.value))!r} is a file that runs code when it is loaded"


def _looked_up(key: Any, value: Any, is_part: Callable[[str], bool]) -> str | None:
    """Return what is done with an entry of a dict beyond reading it."""
    if key == "custom_imports":
        names = value.get("imports") if isinstance(value, dict) else value
        names = names if isinstance(names, (list, tuple)) else [names] * (names is not None)
        foreign = [name for name in names if not str(name).startswith("rgacli.") or "._" in str(name)]  # __main__ runs
        return f"custom_imports imports {foreign[0]}" if foreign else None
    if key == "type" and isinstance(value, str) and not is_part(value):
        return f"type {shortened(value)!r} is no part of mmdet's: as a Python name it is imported and called"
    if key in ("default_scope", "_scope_") and value is not None and value not in _SCOPES:
        return f"{key} {shortened(str(value))!r} is a package that is imported"
    if key in _EXECUTED and isinstance(value, str):
        return f"{key} is {_EXECUTED[key]}"
    return None


def _beyond_literals(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions in one that only running gives a value; `dict(a=1)` is as good as a literal.

    A set is none: mmengine writes no set, and not every literal can be in one.
    """
    if isinstance(node, ast.Call):
        is_dict = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if is_dict and all(keyword.arg for keyword in node.keywords):
            parts = [keyword.value for keyword in node.keywords]
        else:
            parts = [None]
    elif isinstance(node, ast.Dict):
        parts = [*(key if isinstance(key, ast.Constant) else None for key in node.keys), *node.values]
    elif isinstance(node, (ast.List, ast.Tuple)):
        parts = node.elts
    elif isinstance(node, ast.UnaryOp):
        parts = [node.operand] if isinstance(node.op, (ast.USub, ast.UAdd)) and _is_number(node.operand) else [None]
    else:
        parts = [] if isinstance(node, ast.Constant) else [None]
    for part in parts:
        if part is None:
            yield node
        else:
            yield from _beyond_literals(part)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _entries(node: ast.expr) -> Iterator[tuple[Any, ast.expr]]:
    """Yield key and value of every dict in an expression of literals."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            yield from ((keyword.arg, keyword.value) for keyword in part.keywords)
        elif isinstance(part, ast.Dict):
            yield from ((_value(key), value) for key, value in zip(part.keys, part.values, strict=True))


def _value(node: ast.expr) -> Any:
    """Return the value of an expression of literals."""
    if isinstance(node, ast.Call):
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple)):
        kind = list if isinstance(node, ast.List) else tuple
        return kind(_value(element) for element in node.elts)
    return ast.literal_eval(node)


def _assigned(statement: ast.stmt) -> str | None:
    """Return the name that a statement gives a value, if that is all it does."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


def _is_registered(name: str) -> bool:
    """Return whether a `type` names a part that is registered: by its name, with its scope, or by its module."""
    scope, _, bare = name.rpartition(".")
    modules = _registered().get(bare, ())
    return bool(modules) and (
        scope in ("", *_SCOPES) or any(f"{module}.".startswith(f"{scope}.") for module in modules)
    )


def _looks_registered(name: str) -> bool:
    """Return the same as far as the name tells it, which is quicker: a name alone imports no more than a module."""
    scope, _, bare = name.rpartition(".")
    return (scope == "" and bare.isidentifier()) or _is_registered(name)


@cache
def _registered() -> Mapping[str, frozenset[str]]:
    """Return name -> modules of all parts that the registries of mmengine and mmdet know, and ours."""
    from mmengine import registry

    found: dict[str, set[str]] = {name: {"mmcv.ops"} for name in _PARTS}

    def note(node: Any) -> None:
        node.import_from_location()
        for name, part in node.module_dict.items():
            found.setdefault(name, set()).add(getattr(part, "__module__", ""))
        for child in node.children.values():
            note(child)

    for node in vars(registry).values():
        if isinstance(node, registry.Registry):
            note(node)
    return {name: frozenset(modules) for name, modules in found.items()}


def _shown(node: ast.AST) -> str:
    return f"`{shortened(ast.unparse(node).splitlines()[0])}`"
