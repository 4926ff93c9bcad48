"""What a config file says, read without running it: neither mmengine nor torch is needed for it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.method import LAMBDA0


@dataclass(frozen=True)
class Method:
    """What a config says of RGA and PRM; None, and no ratio, where it says nothing.

    Attributes:
        lambda0, anneal: Of RGA.
        ratios, sampling: Of PRM; a single ratio is a single head.
    """

    lambda0: float | None
    anneal: str | None
    ratios: tuple[str, ...]
    sampling: str | None


def read_literals(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a config's top-level assignments, merged over those of the files it inherits, as mmengine does.

    What takes running, and the files of another package (mmdet's know nothing of RGA and PRM), are left out.

    Args:
        path: The file.
        seen: Those that inherit it.

    Raises:
        OSError, ValueError, SyntaxError: the file cannot be read, is no Python, or inherits itself.
    """
    path = path.resolve()
    if path in seen:
        raise ValueError(f"{path.name} inherits itself")
    own = parse_literals(path.read_text(encoding="utf-8"))
    bases = own.pop("_base_", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases or ():
        if isinstance(base, str) and "::" not in base:
            merged |= read_literals(path.parent / base, (*seen, path))
    return _merge(merged, own)


def parse_literals(text: str) -> dict[str, Any]:
    """Return the top-level assignments in a config's text; what takes running is None.

    Raises:
        ValueError, SyntaxError: it is no Python.
    """
    return {
        statement.targets[0].id: _value(statement.value)
        for statement in ast.parse(text).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def method_of(config: Mapping[str, Any]) -> Method:
    """Return what a config, as `read_literals` returns it, says of RGA and PRM."""
    roi_head = (config.get("model") or {}).get("roi_head") or {}
    hooks = [hook for hook in config.get("custom_hooks") or () if isinstance(hook, dict)]
    rga = next((hook for hook in hooks if hook.get("type") == "GradientAnnealingHook"), None)
    return Method(
        lambda0=rga.get("lambda0", LAMBDA0) if rga else None,
        anneal=rga.get("anneal", "linear") if rga else None,
        ratios=tuple(roi_head.get("ratios") or ()),
        sampling=roi_head.get("sampling", "soft") if roi_head else None,
    )


def _value(node: ast.expr) -> Any:
    """Return a literal's value, `dict(…)` included; None for what takes running."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element) for element in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    both = {key for key in own if isinstance(own[key], dict) and isinstance(base.get(key), dict)}
    return base | own | {key: _merge(base[key], own[key]) for key in both}
