"""What `reproduce` can be asked for: tables and figures of the paper, or a sweep in a file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rgacli.config.catalogue import default_config
from rgacli.errors import UsageError
from rgacli.method import parse_ratios
from rgacli.reproduction import paper
from rgacli.reproduction.jobs import EMBEDDED
from rgacli.reproduction.reading import read_sweep
from rgacli.reproduction.sweep import Sweep, Table
from rgacli.wording import param


def find_target(
    target: str, names: str | Sequence[str] | None, scale: str | None, data: Path | None, epochs: int | None
) -> tuple[Sweep, dict[str, Any], tuple[Table, ...], str | None]:
    """Return the sweep that a target belongs to, what all its trainings have in common, its tables, and its scale.

    Args:
        target, scale, data, epochs: As of `reproduce`.
        names: Tables of a file.

    Raises:
        UsageError: there is no such target, or the sweep or a parameter cannot be used.
    """
    names = [names] if isinstance(names, str) else list(names or ())
    if target == "all" or target in paper.TARGETS:
        if names:
            raise UsageError(f"{param('table')} chooses tables of a file; {target} is one itself.")
        scale = scale or "small"
        sweep = paper.sweep(scale, default_config(data), epochs)
        tables = sweep.tables if target == "all" else (sweep.table(target),)
        default = {"data": EMBEDDED} if scale == "small" else {}
        return sweep, default if data is None else {"data": str(data)}, tables, scale
    path = Path(target)
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{param('target')} '{target}' is none of {', '.join(paper.TARGETS)}, 'all', or a YAML file.")
    if scale:
        raise UsageError(f"{param('scale', scale)} is of the paper's tables and figures: a file says what to train.")
    sweep, common = read_sweep(path)
    _require_parameters(sweep, common, path)
    given = {} if epochs is None else {"epochs": epochs}
    given |= {} if data is None else {"data": str(data)}
    arms = {arm: {key: value for key, value in own.items() if key not in given} for arm, own in sweep.arms.items()}
    if epochs is not None:
        for arm, own in _lengths(sweep.arms, {**common, **given}, common.get("epochs"), epochs).items():
            arms[arm]["epochs"] = own
    sweep = replace(sweep, arms=arms)  # what is given is of all trainings
    return sweep, common | given, tuple(map(sweep.table, names)) or sweep.tables, None


def _lengths(
    arms: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any], before: int | None, epochs: int
) -> dict[str, int]:
    """Return the epochs of arms that have a number of their own, where the others take `epochs`: in proportion.

    Args:
        arms: As the file has them; where each has its own number, the first that trains counts as one of the others.
            One of 0 epochs, which takes its weights as they are, keeps to that.
        common: Parameters of all.
        before: The file's epochs for all; None: those of the others' config.
        epochs: Of the others, now.

    Raises:
        UsageError: the others' config has none.
    """
    own = {arm: each["epochs"] for arm, each in arms.items() if isinstance(each.get("epochs"), int)}
    others = [arm for arm in arms if arm not in own]
    if not any(own.values()):
        return own
    whole = before if others and before != 0 else next(filter(None, own.values()))
    if whole is None:
        from rgacli.config.files import load_config

        name = arms[others[0]].get("config") or common.get("config") or default_config(common.get("data"))
        whole = load_config(name).train_cfg.get("max_epochs")
        if not whole:
            raise UsageError(
                f"{param('epochs', epochs)}: {', '.join(own)} have epochs of their own, and {name} has none."
            )
    return {arm: max(min(1, each), round(epochs * each / whole)) for arm, each in own.items() if each != whole}


def _require_parameters(sweep: Sweep, common: Mapping[str, Any], path: Path) -> None:
    """Raise a UsageError for what is no parameter of a training, or one that the sweep sets."""
    from rgacli.api.train import train

    known = set(inspect.signature(train).parameters) - {"seed", "name", "work_dir", "resume", "progress", "device"}
    for where, own in {"train": common, **{f"arm '{name}'": own for name, own in sweep.arms.items()}}.items():
        for key in own:
            if key not in known:
                raise UsageError(f"{path}: {where}: '{key}' is none of {', '.join(sorted(known))}.")


def require_methods(arms: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise a UsageError for an arm whose config there is none of, or cannot have the settings or the method.

    A cluster would tell it job by job.

    Args:
        arms: Name -> all parameters of its trainings.
    """
    from rgacli.api.train import adapt
    from rgacli.config.files import load_config
    from rgacli.config.recipe import set_method

    load = cache(load_config)  # most arms are of one
    settable = set(inspect.signature(set_method).parameters) - {"cfg", "ratios"}
    for name, given in arms.items():
        config, ratios = given.get("config") or default_config(given.get("data")), given.get("ratios")
        try:
            heads = None if ratios is None else parse_ratios(ratios)
            method = {key: given[key] for key in settable & given.keys()}
            adapt(deepcopy(load(config)), config, given.get("settings") or [], ratios=heads, **method)
        except UsageError as error:
            raise UsageError(f"arm '{name}': {error.message}") from error
