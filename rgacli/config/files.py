"""Finding and reading configs: the bundled ones, mmdet's, and the user's."""

from __future__ import annotations

import ast
import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from rgacli.config.catalogue import CONFIGS, bundled_configs, closest
from rgacli.errors import FULL, UsageError
from rgacli.files import naming
from rgacli.wording import function, param

BUILD_ERRORS = (TypeError, KeyError, ValueError, AttributeError, AssertionError)
"""What mmengine's registries and the parts' constructors raise for a config that makes no sense to them."""


def load_config(name: str) -> Config:
    """Return the config named by a bundled name, `mmdet::<family>/<file>.py`, or a path.

    Raises:
        UsageError: there is no such config, or it cannot be read.
    """
    path = _locate(name)
    try:
        with naming(tempfile.gettempdir()):  # where mmengine copies it to
            cfg = Config.fromfile(path)
        # In mmengine's newer style of config a type is a class; its name does everywhere what the class does.
        cfg = Config(cfg.to_dict(), filename=cfg.filename)
    except FileNotFoundError as error:
        raise UsageError(f"config {name}: no such file: {error.filename or error}") from error
    except Exception as error:  # a config is Python: anything may go wrong in it
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise UsageError(f"config {name} cannot be read: {type(error).__name__}: {_first_line(error)}") from error
    if not cfg.get("model"):
        raise UsageError(f"config {name} has no `model`: it is no mmdet detector config.")
    return cfg


def _locate(name: str) -> Path:
    if "::" in name:
        return _locate_in_package(*name.split("::", 1))
    path = Path(name)
    if path.is_file():
        if path.suffix not in (".py", ".json", ".yaml", ".yml"):
            raise UsageError(f"config {name} is not a .py, .json or .yaml file.")
        return path
    stem = name.removesuffix(".py")
    if stem in bundled_configs():
        return CONFIGS / f"{stem}.py"
    raise UsageError(
        f"config '{name}' is neither a file nor a bundled config nor one of mmdet's "
        "(mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py)."
        f"{closest(stem, bundled_configs())} {function('configs')} lists the bundled ones."
    )


def _locate_in_package(package: str, name: str) -> Path:
    """Return the file of mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py in the installed mmdet."""
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.origin:
        raise UsageError(f"config {package}::{name}: there is no installed package {package!r}.")
    folder = Path(spec.origin).parent / ".mim" / "configs"
    if not (folder / name).is_file():
        names = (path.relative_to(folder).as_posix() for path in folder.glob("*/*.py"))
        raise UsageError(f"config {package}::{name}: there is no such file in {folder}.{closest(name, names)}")
    return folder / name


def set_keys(cfg: Config, assignments: Sequence[str] | Mapping[str, Any]) -> None:
    """Set keys of a config such as `model.backbone.depth`, in order.

    Args:
        cfg: Changed in place.
        assignments: Key -> value; or "key.sub_key=value" each, whose values are read as Python literals ("0.01",
            "[1,2]", "None", dicts too), else as text.

    Raises:
        UsageError: not of that form, or the key's parent is not in the config (a misspelt key would be ignored).
    """
    for key, value in assignments.items() if isinstance(assignments, Mapping) else map(_assigned, assignments):
        parent, _, last = key.rpartition(".")
        if parent and _lookup(cfg, parent) is None:
            raise UsageError(f"{param('settings', key)}: the config has no '{parent}' to set '{last}' in.")
        if not parent and key not in cfg:
            raise UsageError(f"{param('settings', key)}: the config has no such key.")
        owner = _lookup(cfg, parent) if parent else cfg
        if isinstance(value, dict) and hasattr(owner, "get") and not isinstance(owner.get(last), dict):
            owner[last] = ConfigDict(value)  # mmengine merges dicts, and knows no merging into what is none
            continue
        try:
            cfg.merge_from_dict({key: value}, allow_list_keys=True)
        except (KeyError, TypeError, IndexError, AssertionError) as error:
            raise UsageError(f"{param('settings', f'{key}={value}')}: {_first_line(error)}") from error


def _assigned(assignment: str) -> tuple[str, Any]:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise UsageError(f"{param('settings', assignment)} is not of the form KEY=VALUE.")
    return key, _value(text)


def cannot_build(error: Exception) -> UsageError:
    """Return the error that says in a sentence what one of BUILD_ERRORS means for the config."""
    what = str(error.args[0] if error.args else error).split(". ")[0]
    return UsageError(f"what the config describes cannot be built: {type(error).__name__}: {what.rstrip('.')}.")


def _lookup(cfg: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(cfg, (list, tuple)) and part.isdigit() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        elif hasattr(cfg, "get"):
            cfg = cfg.get(part)
        else:
            return None
    return cfg


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
