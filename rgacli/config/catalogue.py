"""The configs that come with rgacli: what each trains, by whose settings, and the results that it is to be held to.

Their files are parsed, not run (`literals`), so that listing them takes neither mmengine nor torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rgacli.config.literals import method_of, read_literals

CONFIGS = Path(__file__).parents[1] / "configs"

QUICKSTART = "quickstart"
"""What is trained where neither a config nor a dataset is named."""
LITE = "faster-rcnn_r18-lite_fpn_rga-prm"
"""What is trained on a dataset where no config is named."""
MODERN = "faster-rcnn_r50_fpn_rga-prm"
"""What to train with a GPU."""
MAX_DETS = 100
"""Detections of an image that COCO counts, and that configs give which are not made for crowds."""

TABLES = {
    1: "two heads, alone and together (COCO minival)",
    2: "main results (COCO minival)",
    3: "beside other detectors (COCO test-dev; * re-implemented by the paper)",
    4: "λ0 and annealing (COCO minival)",
    5: "pairs of sampling ratios (COCO minival)",
    6: "a third head (COCO minival)",
    7: "CrowdHuman (* re-implemented by the paper)",
    8: "hard and soft sampling (COCO minival)",
}
"""The paper's tables: number -> what it compares."""


@dataclass(frozen=True)
class CatalogueEntry:
    """What a bundled config's file says of itself.

    Attributes:
        name: As it is given to `train`.
        description: Its first comment line.
        settings: Whose training settings it has but for those of its own: "mmdet 1.x", the paper's toolbox, or
            "mmdet 3".
        plain: Trained as it is, without RGA and PRM; the next four then say nothing.
        lambda0, anneal: Of RGA.
        ratios, sampling: Of PRM; a single ratio is a single head.
        paper: Rows of the paper's tables that it stands for: `table`, `row`, and its numbers by metric, in percent.
            `AP` is that of the row's detector, `AP_R1` and `AP_R2` those of single R-CNN modules.
        baseline: The same detector without RGA and PRM: its `config`, and its `AP` on COCO minival, in percent, as
            mmdet publishes it; None where mmdet has no such detector, or the paper's rows have their own.
    """

    name: str
    description: str
    settings: str
    plain: bool
    lambda0: float | None
    anneal: str | None
    ratios: tuple[str, ...]
    sampling: str | None
    paper: tuple[dict[str, Any], ...]
    baseline: dict[str, Any] | None

    def rows(self, table: int) -> tuple[dict[str, Any], ...]:
        """Return those of its rows that stand in this table of the paper."""
        return tuple(row for row in self.paper if row["table"] == table)


def bundled_configs() -> tuple[str, ...]:
    """Return the bundled configs' names, ordered part by part: `…_rga_1x_coco` goes before `…_rga-prm_1x_coco`."""
    return tuple(sorted((path.stem for path in CONFIGS.glob("*.py")), key=lambda name: name.split("_")))


def default_config(data: Path | None) -> str:
    """Return the config that is trained where none is named, on this dataset or on the embedded one."""
    return LITE if data else QUICKSTART


def read_catalogue() -> list[CatalogueEntry]:
    """Return what each bundled config is, in the order of their names."""
    return [_describe(name) for name in bundled_configs()]


def closest(name: str, names: Iterable[str]) -> str:
    """Return " Closest: …." with the names most like `name`, or nothing where none is."""
    matches = difflib.get_close_matches(name, list(names), n=3)
    return f" Closest: {', '.join(matches)}." if matches else ""


def _describe(name: str) -> CatalogueEntry:
    path = CONFIGS / f"{name}.py"
    settings = read_literals(path)
    return CatalogueEntry(
        name=name,
        description=path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "),
        settings=settings.get("settings", "mmdet 3"),
        plain=settings.get("plain", False),
        **asdict(method_of(settings)),
        paper=tuple(settings.get("paper", ())),
        baseline=settings.get("baseline"),
    )
