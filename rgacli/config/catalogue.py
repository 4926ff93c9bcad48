"""The configs that come with rgacli: what each trains, and the paper's results that it stands for.

Their files are parsed, not run, so that listing them takes neither mmengine nor torch.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[1] / "configs"

QUICKSTART = "quickstart"
"""What is trained where neither a config nor a dataset is named."""
LITE = "faster-rcnn_r18-lite_fpn_rga-prm"
"""What is trained on a dataset where no config is named."""


@dataclass(frozen=True)
class CatalogueEntry:
    """What a bundled config's file says of itself."""

    name: str
    description: str
    """Its first comment line."""
    plain: bool
    """Trained as it is, without RGA and PRM; the next four fields then say nothing."""
    lambda0: float | None
    anneal: str | None
    ratios: tuple[str, ...]
    sampling: str | None
    paper: tuple[dict[str, Any], ...]
    """Rows of the paper's tables: `table`, `row`, and its numbers by metric, in percent. `AP` is that of the row's
    detector, `AP_R1` and `AP_R2` those of single R-CNN modules."""


def bundled_configs() -> tuple[str, ...]:
    """Names of the configs that come with rgacli, part by part: `…_rga_1x_coco` goes before `…_rga-prm_1x_coco`."""
    return tuple(sorted((path.stem for path in CONFIGS.glob("*.py")), key=lambda name: name.split("_")))


def default_config(data: Path | None) -> str:
    """Return the config that is trained where none is named, on this dataset or on the embedded one."""
    return LITE if data else QUICKSTART


def read_catalogue() -> list[CatalogueEntry]:
    """What each bundled config is, in the order of their names."""
    return [_describe(name) for name in bundled_configs()]


def closest(name: str, names: Iterable[str]) -> str:
    """ " Closest: …." with the names most like `name`, or nothing where none is."""
    matches = difflib.get_close_matches(name, list(names), n=3)
    return f" Closest: {', '.join(matches)}." if matches else ""


def _describe(name: str) -> CatalogueEntry:
    path = CONFIGS / f"{name}.py"
    settings = _settings(path)
    roi_head = settings.get("model", {}).get("roi_head", {})
    rga = next((hook for hook in settings.get("custom_hooks", []) if hook["type"] == "GradientAnnealingHook"), None)
    return CatalogueEntry(
        name=name,
        description=path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "),
        plain=settings.get("plain", False),
        lambda0=rga["lambda0"] if rga else None,
        anneal=rga.get("anneal", "linear") if rga else None,
        ratios=tuple(roi_head.get("ratios", ())),
        sampling=roi_head.get("sampling", "soft") if roi_head else None,
        paper=tuple(settings.get("paper", ())),
    )


def _settings(path: Path) -> dict[str, Any]:
    """The file's top-level assignments, merged over those of the bundled configs it inherits, as mmengine does."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {
        statement.targets[0].id: _value(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    bases = own.pop("_base_", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        if "::" not in base:  # mmdet's know nothing of RGA and PRM
            merged |= _settings(path.parent / base)
    return _merge(merged, own)


def _value(node: ast.expr) -> Any:
    """A literal's value, `dict(…)` included; None for what takes running."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element) for element in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    both = {key for key in own if isinstance(own[key], dict) and isinstance(base.get(key), dict)}
    return base | own | {key: _merge(base[key], own[key]) for key in both}
