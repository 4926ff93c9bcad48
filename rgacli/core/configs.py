"""Finding and reading configs: the bundled ones, mmdet's, and the user's."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rgacli.errors import UsageError

BUNDLED = Path(__file__).parents[1] / "configs"


def bundled_configs() -> tuple[str, ...]:
    """Names of the configs that come with rgacli."""
    return tuple(sorted(path.stem for path in BUNDLED.glob("*.py")))


def load_config(name: str) -> Config:
    """The config named by a bundled name, `mmdet::<family>/<file>.py`, or a path.

    Raises:
        UsageError: there is no such config, or it cannot be read.
    """
    try:
        return Config.fromfile(str(_locate(name)))
    except UsageError:
        raise
    except (FileNotFoundError, OSError) as error:
        raise UsageError(f"config {name}: {_first_line(error)}") from error
    except Exception as error:  # a config is Python: anything may go wrong in it
        raise UsageError(f"config {name} cannot be read: {type(error).__name__}: {_first_line(error)}") from error


def _locate(name: str) -> str | Path:
    if "::" in name:
        return name
    path = Path(name)
    if path.is_file():
        if path.suffix not in (".py", ".json", ".yaml", ".yml"):
            raise UsageError(f"config {name} is not a .py, .json or .yaml file.")
        return path
    bundled = BUNDLED / f"{name.removesuffix('.py')}.py"
    if bundled.is_file():
        return bundled
    raise UsageError(
        f"config '{name}' is neither a file nor a bundled config ({', '.join(bundled_configs())}) "
        "nor one of mmdet's (mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py)."
    )


def set_keys(cfg: Config, assignments: list[str]) -> None:
    """Applies `key.sub_key=value` assignments, in order.

    Values are read as Python literals ("0.01", "[1,2]", "None", "dict" forms too), else as text.

    Raises:
        UsageError: not of that form, or the key's parent is not in the config (a misspelt key would be ignored).
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {assignment} is not of the form KEY=VALUE.")
        parent, _, last = key.rpartition(".")
        if parent and _lookup(cfg, parent) is None:
            raise UsageError(f"--set {key}: the config has no '{parent}' to set '{last}' in.")
        if not parent and key not in cfg:
            raise UsageError(f"--set {key}: the config has no such key.")
        try:
            cfg.merge_from_dict({key: _value(text)}, allow_list_keys=True)
        except (KeyError, TypeError, IndexError, AssertionError) as error:
            raise UsageError(f"--set {assignment}: {_first_line(error)}") from error


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
