"""What a config file runs: it is Python, and of what is written plainly some is looked up and called.

mmengine takes a `type` that it does not know for the name of any Python object, imports it and calls it
(`type="os.system"`, or that of a class which writes files or unpickles them); an expression in a `type` of NMS is
evaluated by mmcv, and so on. A config that is to run nothing is one of literals, whose types are registered parts of
the kind that its place takes, and which names none of the keys below.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from rgacli.config.schema import shortened
from rgacli.errors import UsageError
from rgacli.wording import param

_SCOPES = ("mmdet", "mmengine", "mmcv")
"""Registries' scopes, which are packages that mmengine imports when it meets them."""

_PARTS = ("nms", "soft_nms", "RoIAlign", "RoIPool", "SimpleRoIAlign", "DeformRoIPoolPack", "ModulatedDeformRoIPoolPack")
"""What mmcv and mmdet look up by `type` besides the registries."""

_PICKLE = "a pickle, which runs code when it is loaded"
_EXECUTED = {
    "teacher_config": "a config that is run",
    "teacher_ckpt": _PICKLE,
    "warp_mode": "an expression that is evaluated",
    **dict.fromkeys(("split_file", "proposal_file", "hierarchy_file", "meta_file"), _PICKLE),
}
"""Keys of mmdet's own parts whose text is run."""

_PICKLES = ("pkl", "pickle", "npy", "yaml", "yml")
"""Suffixes by which mmengine and mmdet load a file, an annotation file for one, in a way that can run code."""


class _Place(NamedTuple):
    """Where types stand in a config.

    Attributes:
        what: What they are there.
        registries: Of mmengine that hold such; none: any, as nothing is built of them.
    """

    what: str
    registries: tuple[str, ...] = ()


_ANYWHERE = _Place("part of mmdet's")
_MODEL = _Place("part of a model", ("MODELS", "TASK_UTILS", "WEIGHT_INITIALIZERS"))
_TRANSFORM = _Place("transform", ("TRANSFORMS",))
_DATASET = _Place("dataset that unpickles nothing", ("DATASETS",))
_PLACES = {
    **dict.fromkeys(("model", "tta_model"), _MODEL),
    **dict.fromkeys(("dataset", "datasets"), _DATASET),
    **dict.fromkeys(("sampler", "batch_sampler", "batches"), _Place("sampler", ("DATA_SAMPLERS",))),
    **dict.fromkeys(("collate_fn", "worker_init_fn"), _Place("function of a dataloader", ("FUNCTIONS",))),
}
"""Key -> the place of what lies below it."""
_ENDINGS = {
    "pipeline": _TRANSFORM,
    "dataloader": _DATASET,
    "evaluator": _Place("metric", ("METRICS", "EVALUATOR")),
}
"""The same by what a key ends with."""
_WRAPPERS = ("ConcatDataset", "RepeatDataset", "ClassBalancedDataset", "MultiImageMixDataset")
"""Datasets that are made of others."""
_TEXTS = ("XMLDataset", "VOCDataset", "CrowdHumanDataset")
"""Datasets that, like COCO's, read text alone."""


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
    for line, what in _executed(text, statements, partial(_is_registered, imports=_own_imports(statements))):
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


def _own_imports(statements: list[ast.stmt]) -> tuple[str, ...]:
    """Return the modules of rgacli that a config imports, by which more parts are registered."""
    for statement in statements:
        if _assigned(statement) == "custom_imports" and not any(_beyond_literals(statement.value)):
            return tuple(name for name in _imports(_value(statement.value)) if not _is_foreign(name))
    return ()


def _imports(value: Any) -> list[Any]:
    """Return the modules that `custom_imports` names."""
    names = value.get("imports") if isinstance(value, dict) else value
    return list(names) if isinstance(names, (list, tuple)) else [names] * (names is not None)


def _is_foreign(module: Any) -> bool:
    return not str(module).startswith("rgacli.") or "._" in str(module)  # __main__ runs


def _bases(node: ast.expr) -> list[str | None]:
    """Return the files that a config inherits; None in place of what is not written plainly."""
    nodes = node.elts if isinstance(node, (ast.List, ast.Tuple)) else [node]
    values = [one.value if isinstance(one, ast.Constant) else None for one in nodes]
    return [value if isinstance(value, str) else None for value in values]


def _executed(
    text: str, statements: list[ast.stmt], is_part: Callable[[str, _Place], bool]
) -> Iterator[tuple[int, str]]:
    """Yield line and description of what of a config would be run, looked up by name, or filled in.

    Args:
        text: The file's.
        statements: Those of it that count.
        is_part: Whether a `type` names a part that a place takes, and nothing else.
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
            below = _entries(statement.value, _place_of(name, _ANYWHERE))
            for key, node, place in [(name, statement.value, _ANYWHERE), *below]:
                if what := _looked_up(key, _value(node), place, is_part):
                    yield node.lineno, what
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Constant) and str(node.value).lower().rpartition(".")[2] in _PICKLES:
                    yield node.lineno, f"{shortened(str(node.value))!r} is a file that runs code when it is loaded"


def _looked_up(key: Any, value: Any, place: _Place, is_part: Callable[[str, _Place], bool]) -> str | None:
    """Return what is done with an entry of a dict beyond reading it."""
    if key == "custom_imports":
        foreign = [name for name in _imports(value) if _is_foreign(name)]
        return f"custom_imports imports {foreign[0]}" if foreign else None
    if key == "type" and isinstance(value, str) and not is_part(value, place):
        return f"type {shortened(value)!r} is no {place.what}: it would be called, whatever it is"
    if key in ("backend_args", "file_client_args") and value not in (None, {}, {"backend": "local"}):
        return f"{key} has files read in a way that can import a module"
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


def _entries(node: ast.expr, place: _Place) -> Iterator[tuple[Any, ast.expr, _Place]]:
    """Yield key, value and place of every entry of the dicts in an expression of literals, which lies in a place."""
    if isinstance(node, (ast.List, ast.Tuple)):
        for element in node.elts:
            yield from _entries(element, place)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            yield keyword.arg, keyword.value, place
            yield from _entries(keyword.value, _place_of(keyword.arg, place))
    elif isinstance(node, ast.Dict):
        for key, value in zip(map(_value, node.keys), node.values, strict=True):
            yield key, value, place
            yield from _entries(value, _place_of(key, place))


def _place_of(key: Any, place: _Place) -> _Place:
    """Return the place of what lies below a key in a place: of a model or a transform, all is part of that."""
    if place in (_MODEL, _TRANSFORM):
        return place
    return next((kind for ending, kind in _ENDINGS.items() if str(key).endswith(ending)), _PLACES.get(key, place))


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


def _is_registered(name: str, place: _Place, imports: tuple[str, ...] = ()) -> bool:
    """Return whether a `type` names a part that a place takes: by its name, with its scope, or by its module."""
    scope, _, bare = name.rpartition(".")
    modules = _registered(place, imports).get(bare, ())
    return bool(modules) and (
        scope in ("", *_SCOPES) or any(f"{module}.".startswith(f"{scope}.") for module in modules)
    )


def _looks_registered(name: str, place: _Place) -> bool:
    """Return the same as far as the name tells it, which is quicker: a name alone imports no more than a module."""
    scope, _, bare = name.rpartition(".")
    return (scope == "" and bare.isidentifier()) or _is_registered(name, place)


@cache
def _registered(place: _Place, imports: tuple[str, ...] = ()) -> Mapping[str, frozenset[str]]:
    """Return name -> modules of the parts that a place takes, of mmengine's, mmdet's and ours."""
    from mmengine import registry

    for module in ("rgacli.core", *imports):  # a registry knows what has been imported, whose answers are kept here
        import_module(module)
    found: dict[str, set[str]] = {name: {"mmcv.ops"} for name in _PARTS if place in (_ANYWHERE, _MODEL)}

    def note(node: Any) -> None:
        node.import_from_location()
        for name, part in node.module_dict.items():
            if place is not _DATASET or _reads_text(part):
                found.setdefault(name, set()).add(getattr(part, "__module__", ""))
        for child in node.children.values():
            note(child)

    roots = [node for node in vars(registry).values() if isinstance(node, registry.Registry)]
    for node in [getattr(registry, name) for name in place.registries] or roots:
        note(node)
    return {name: frozenset(modules) for name, modules in found.items()}


def _reads_text(dataset: Any) -> bool:
    """Return whether a dataset reads text, as COCO's do and ours, or is made of such: others unpickle files."""
    from mmdet.datasets import CocoDataset

    if dataset.__module__.startswith("rgacli.") or dataset.__name__ in (*_WRAPPERS, *_TEXTS):
        return True
    return isinstance(dataset, type) and issubclass(dataset, CocoDataset)


def _shown(node: ast.AST) -> str:
    return f"`{shortened(ast.unparse(node).splitlines()[0])}`"
