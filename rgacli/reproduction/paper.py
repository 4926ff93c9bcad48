"""The paper's tables and figures as a sweep, at its own scale or at one for a CPU.

What is trained and claimed stands in paper.yaml; the paper's numbers, λ0, ratios and sampling in the configs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rgacli.config.catalogue import CONFIGS, CatalogueEntry, read_catalogue
from rgacli.config.literals import read_literals
from rgacli.method import head_names, parse_ratios
from rgacli.reproduction.reading import read_yaml, table_of
from rgacli.reproduction.sweep import Quantity, Row, Sweep, Table

Scale = Literal["paper", "small"]

FILE = Path(__file__).with_name("paper.yaml")
TARGETS = (
    *(f"table{number}" for number in range(1, 9)),
    *("fig1a", "fig1b", "fig2", "fig3", "fig5", "fig6"),
)
"""What there is of the paper: its Fig. 4 is a drawing of the structure."""

_SMALL = ", by small detectors in the place of the paper's"
_NOT_SMALL = "not trained at the small scale"


def sweep(scale: Scale, config: str, epochs: int | None = None) -> Sweep:
    """Return all of the paper as one sweep.

    Args:
        scale: "paper": its own detectors and settings; "small": a small detector with their λ0, ratios and sampling.
        config: What the small scale trains.
        epochs: Of each training, those of twice the schedule twice as many; None: the configs' own.
    """
    content = read_yaml(FILE)
    entries = {entry.name: entry for entry in read_catalogue()}
    configs = {arm: own["config"] for arm, own in content["arms"].items()}
    small = content["small"] if scale == "small" else None
    arms = {arm: _parameters(own, entries, small, config, epochs) for arm, own in content["arms"].items()}
    alike = _alike({arm: own for arm, own in arms.items() if own is not None})
    tables = []
    for name, own in content["tables"].items():
        rows, lacking = _rows(own, {arm: entries[name] for arm, name in configs.items()}, alike, content["combined"])
        kept = {key: value for key, value in own.items() if key not in ("paper", "arms")}
        if scale == "small":
            kept["title"] += _SMALL
        tables.append(replace(_renamed(table_of(name, kept, rows), alike), lacking=tuple(lacking)))
    return Sweep(
        name="paper",
        title=content["title"],
        arms={arm: own for arm, own in arms.items() if alike.get(arm) == arm},
        combined={name: tuple(members) for name, members in content["combined"].items()},
        tables=tuple(tables),
    )


def _parameters(
    own: Mapping[str, Any],
    entries: Mapping[str, CatalogueEntry],
    small: Mapping[str, Any] | None,
    config: str,
    epochs: int | None,
) -> dict[str, Any] | None:
    """Return what `rgacli.train` trains an arm by; None where the scale has nothing in its place."""
    entry, times = entries[own["config"]], own.get("times", 1)
    given = {key: value for key, value in own.items() if key not in ("config", "times")}
    length = {} if epochs is None else {"epochs": times * epochs}
    if small is None:
        return {"config": entry.name, **given, **length}
    prefix = max((each for each in small if entry.name.startswith(each)), key=len)
    if small[prefix] is None:
        return None
    if times > 1 and not length:
        length = {"epochs": times * read_literals(CONFIGS / f"{config}.py")["train_cfg"]["max_epochs"]}
    other = {**small[prefix], "config": small[prefix].get("config", {}).get(config, config)}
    return {**other, **_method(entry), **given, **length}


def _method(entry: CatalogueEntry) -> dict[str, Any]:
    """Return the parameters that give another config an entry's method."""
    if entry.plain:
        return {"rga": False, "prm": False}
    found: dict[str, Any] = {"lambda0": entry.lambda0, "ratios": ",".join(entry.ratios)}
    if entry.anneal != "linear":
        found["anneal"] = entry.anneal
    if entry.sampling != "soft":
        found["sampling"] = entry.sampling
    return found


def _alike(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return arm -> the first arm that is trained just as it is, probed or not: at the small scale, some are."""

    def trained(arm: str) -> dict[str, Any]:
        return {key: value for key, value in arms[arm].items() if key != "probe_gradients"}

    first: list[str] = []
    found = {}
    for arm in arms:
        found[arm] = next((other for other in first if trained(other) == trained(arm)), arm)
        if found[arm] == arm:
            first.append(arm)
    return found


_OF_HEAD = "AP_R"


def _rows(
    own: Mapping[str, Any],
    entries: Mapping[str, CatalogueEntry],
    alike: Mapping[str, str],
    combined: Mapping[str, Sequence[str]],
) -> tuple[list[Row], list[str]]:
    """Return the rows that the paper's table has of a table's arms, and what is lacking.

    A row that several configs share is of their detectors together.
    """
    if "paper" not in own:
        return [], []
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for arm in own["arms"]:
        for row in entries[arm].rows(own["paper"]):
            found.setdefault(row["row"], []).append((arm, row))
    rows, lacking = [], []
    for label, parts in found.items():
        arms = [arm for arm, _ in parts]
        if any(arm not in alike for arm in arms):
            lacking.append(f"{label}: {_NOT_SMALL}")
            continue
        whole = arms[0]
        if len(arms) > 1:
            whole = next(name for name, members in combined.items() if list(members) == arms)
        numbers = {key: value for _, row in parts for key, value in row.items() if key not in ("table", "row")}
        cells = {_column(key): _cell(key, whole, arms, entries) for key in numbers}
        rows.append(Row(label, cells, {_column(key): value for key, value in numbers.items()}))
    return rows, lacking


def _column(metric: str) -> str:
    """Return "R1" of "AP_R1"."""
    return metric.removeprefix("AP_")


def _cell(metric: str, whole: str, arms: Sequence[str], entries: Mapping[str, CatalogueEntry]) -> Quantity:
    """Return the quantity that a number of the paper's is of: of a row's detector, or of one R-CNN module in it."""
    if not metric.startswith(_OF_HEAD):
        return Quantity.parse(f"{whole}/{metric}")
    index = int(metric.removeprefix(_OF_HEAD)) - 1
    if len(arms) > 1:
        return Quantity.parse(f"{arms[index]}/AP")
    heads = head_names(parse_ratios(entries[whole].ratios))
    return Quantity.parse(f"{whole}/{heads[index]}/AP")


def _renamed(table: Table, alike: Mapping[str, str]) -> Table:
    """Return a table of the arms that are trained, where it speaks of others that are trained just as they are."""

    def of(quantity: Quantity) -> Quantity:
        parts = [f"{'-' if sign < 0 else '+'} {alike.get(arm, arm)}/{what}" for sign, arm, what in quantity.terms]
        return Quantity.parse(" ".join(parts).removeprefix("+ "))

    return replace(
        table,
        rows=tuple(replace(row, cells={key: of(each) for key, each in row.cells.items()}) for row in table.rows),
        claims=tuple(replace(claim, quantity=of(claim.quantity)) for claim in table.claims),
    )
