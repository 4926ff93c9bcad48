"""Finding and reading configs: the bundled ones, mmdet's, and the user's."""

from __future__ import annotations

import ast
import importlib.util
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.config import DELETE_KEY
from mmengine.registry import build_functions
from mmengine.utils import import_modules_from_strings

from rgacli.config.catalogue import CONFIGS, bundled_configs, closest
from rgacli.config.safety import first_executed, read_safely
from rgacli.config.schema import misfit, shortened, shown
from rgacli.errors import FULL, UsageError, lacking_key
from rgacli.files import naming
from rgacli.wording import function, param

BUILD_ERRORS = (TypeError, KeyError, ValueError, AttributeError, AssertionError)
"""What mmengine's registries and the parts' constructors raise for a config that makes no sense to them."""


def load_config(name: str, *, safe: bool = False) -> Config:
    """Return the config named by a bundled name, `mmdet::<family>/<file>.py`, or a path.

    Args:
        name: Of the config.
        safe: Whether to run nothing of it: a file is parsed, and refused if it says more than literals. The configs of
            rgacli and mmdet are run all the same.

    Raises:
        UsageError: there is no such config, it cannot be read, it is refused, or a key that we read is malformed.
    """
    path = _locate(name)
    try:
        if safe and not _is_installed(path):
            cfg = Config(read_safely(path), filename=str(path))
            _import_modules(cfg)  # of rgacli alone
        else:
            with naming(tempfile.gettempdir()):  # where mmengine copies it to
                cfg = Config.fromfile(path)
        # In mmengine's newer style of config a type is a class; its name does everywhere what the class does.
        cfg = Config(cfg.to_dict(), filename=cfg.filename)
    except UsageError:
        raise
    except FileNotFoundError as error:
        raise UsageError(f"config {name}: no such file: {error.filename or error}") from error
    except SystemExit as error:
        raise UsageError(f"config {name} cannot be read: it ends the process, {error!r}.") from error
    except KeyboardInterrupt as error:
        if not _arose_in(error, path):  # Ctrl-C while mmengine works
            raise
        raise UsageError(f"config {name} cannot be read: it raises KeyboardInterrupt.") from error
    except Exception as error:  # a config is Python: anything may go wrong in it
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        if path.suffix != ".py" and isinstance(error, AttributeError):  # mmengine took it for a dict
            raise UsageError(f"config {name} holds no keys with values: give it a `model`.") from error
        raise UsageError(f"config {name} cannot be read: {type(error).__name__}: {_first_line(error)}") from error
    if not cfg.get("model"):
        raise UsageError(f"config {name} has no `model`: it is no mmdet detector config.")
    make_regular(cfg, f"config {name}")
    return cfg


def make_regular(cfg: Config, where: str, required: Sequence[str] = ()) -> None:
    """Make sure that what we read of a config is what we take it for, and write out what it may leave out, in place.

    Args:
        cfg: The config.
        where: What to say it was found in.
        required: Keys that it must have, see `schema.misfit`.

    Raises:
        UsageError: a key is malformed, or a required one missing.
    """
    _require_fit(cfg, where, required)
    if cfg.get("default_scope") is None:
        cfg.default_scope = "mmdet"  # mmengine's own is one without detectors
    if cfg.get("default_hooks") is None:
        cfg.default_hooks = {}
    if isinstance(cfg.get("param_scheduler"), dict):
        cfg.param_scheduler = [cfg.param_scheduler]


def _require_fit(cfg: Config, where: str, required: Sequence[str] = ()) -> None:
    if wrong := misfit(cfg.to_dict(), required):
        raise UsageError(f"{where}: {wrong}.")


def what_runs(name: str) -> str | None:
    """Return what a config file of somebody's runs first when it is read, with its line; None where it runs nothing.

    Args:
        name: As `load_config` takes it, and it took it. The configs of rgacli and mmdet count as code of this
            installation, and so do those that only inherit them.
    """
    path = _locate(name)
    try:
        return None if _is_installed(path) else first_executed(path)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None  # nothing that can be read: `load_config` says so


def _is_installed(path: Path) -> bool:
    """Return whether a config is rgacli's own or mmdet's."""
    spec = importlib.util.find_spec("mmdet")
    folders = [CONFIGS, *([Path(spec.origin).parent / ".mim" / "configs"] if spec and spec.origin else [])]
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _import_modules(cfg: Config) -> None:
    """Import the modules that a config names, as mmengine does when it reads a file."""
    if imports := cfg.get("custom_imports"):
        import_modules_from_strings(**imports)


def _arose_in(error: BaseException, path: Path) -> bool:
    """Return whether a config's own code raised an error."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve() == path.resolve()


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
    if path.is_dir():
        raise UsageError(f"config '{name}' is a folder: a dataset is given by {param('data', name)}.")
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

    Modules that are set to be imported (`custom_imports`) are.

    Raises:
        UsageError: not of that form, the key's parent is not in the config (a misspelt key would be ignored), a module
            cannot be imported, or a key that we read is malformed then.
    """
    pairs = list(assignments.items() if isinstance(assignments, Mapping) else map(_assigned, assignments))
    for key, value in pairs:
        _set_key(cfg, key, value)
    if pairs:
        _require_fit(cfg, param("settings"))
    if imported := [(key, value) for key, value in pairs if key.partition(".")[0] == "custom_imports"]:
        try:
            _import_modules(cfg)
        except (Exception, SystemExit) as error:  # a module is Python: anything may go wrong in it
            key, value = imported[-1]
            raise UsageError(f"{param('settings', f'{key}={value}')}: {_first_line(error)}.") from error


def _set_key(cfg: Config, key: str, value: Any) -> None:
    parent, _, last = key.rpartition(".")
    given = param("settings", shortened(key))
    if not all(key.split(".")):
        raise UsageError(f"{given}: a key is of the form key.sub_key.")
    if parent and _lookup(cfg, parent) is None:
        raise UsageError(f"{given}: the config has no '{shortened(parent)}' to set '{shortened(last)}' in.")
    if not parent and key not in cfg:
        raise UsageError(f"{given}: the config has no such key.")
    owner = _lookup(cfg, parent) if parent else cfg
    if isinstance(owner, (list, tuple)):
        if not (last.isdecimal() and int(last) < len(owner)):
            raise UsageError(f"{given}: '{shortened(parent)}' is a list of {len(owner)}; its elements are 0, 1, ….")
        place = int(last)
        if not (isinstance(value, dict) and isinstance(owner[place], dict)):  # mmengine merges no other elements
            _set_key(cfg, parent, type(owner)([*owner[:place], value, *owner[place + 1 :]]))
            return
    elif not hasattr(owner, "get"):
        raise UsageError(f"{given}: '{shortened(parent)}' is {shown(owner)}, and has no keys.")
    if isinstance(value, dict) and hasattr(owner, "get") and not isinstance(owner.get(last), dict):
        # mmengine merges dicts, and knows no merging into what is none
        owner[last] = ConfigDict({name: item for name, item in value.items() if name != DELETE_KEY})
        return
    try:
        cfg.merge_from_dict({key: value}, allow_list_keys=True)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise UsageError(f"{param('settings', shortened(f'{key}={value}'))}: {_first_line(error)}") from error


def _assigned(assignment: str) -> tuple[str, Any]:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise UsageError(f"{param('settings', shortened(assignment))} is not of the form KEY=VALUE.")
    return key, _value(text)


def cannot_build(error: Exception) -> UsageError:
    """Return the error that says in a sentence what one of BUILD_ERRORS means for the config."""
    what = str(error.args[0] if error.args else error).split(". ")[0]
    part = _part_in_work(error)
    if key := lacking_key(error):
        return UsageError(f"what the config describes cannot be built: {part or 'the config'} lacks {key}.")
    named = f"{part}: " if part and part not in what else ""
    what = shortened(f"{named}{type(error).__name__}: {what}", 300).rstrip(".: ")
    return UsageError(f"what the config describes cannot be built: {what}.")


def _part_in_work(error: Exception) -> str | None:
    """Return the `type` of the part that a registry was building when an error arose, the innermost one."""
    part = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is build_functions.build_from_cfg.__code__:
            kind = frame.f_locals.get("obj_type")
            part = kind if isinstance(kind, str) else getattr(kind, "__name__", part)
    return part


def _lookup(cfg: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(cfg, (list, tuple)) and part.isdecimal() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        elif hasattr(cfg, "get"):
            cfg = cfg.get(part)
        else:
            return None
    return cfg


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two of brackets in brackets
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _first_line(error: BaseException | str) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
