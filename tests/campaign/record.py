"""The campaign's figures, as JSON and as README's table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rgacli.engine.machine import about
from rgacli.files import write_text
from tests.campaign import PARTS
from tests.campaign.trial import Outcome

FORMAT = 1
FOUND = Path("assets/campaign/found.yaml")


def assemble(outcomes: Sequence[Outcome], *, title: str, seed: int, short: bool, seconds: float) -> dict[str, Any]:
    """Return the record of one part: where and when it ran, and per kind of fault how many trials went well."""
    kinds: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        kind = kinds.setdefault(outcome.kind, dict(tried=0, survived=0, failed={}, not_here="", figures={}))
        if outcome.not_here:
            kind["not_here"] = outcome.not_here
            continue
        kind["tried"] += 1
        kind["survived"] += not outcome.failure
        if outcome.failure:
            kind["failed"][outcome.name] = outcome.failure
        if outcome.figures:
            kind["figures"][outcome.name] = dict(outcome.figures)
    return {**about(), "title": title, "seed": seed, "short": short, "seconds": round(seconds), "kinds": kinds}


def read(path: Path) -> dict[str, Any]:
    """Return a record; an empty one where there is none."""
    if not path.is_file():
        return {"format": FORMAT, "parts": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write a record as JSON."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def found(root: Path) -> list[dict[str, str]]:
    """Return the failures that were found: "part", "what", "mended": the test that holds it; "" while it is open."""
    return yaml.safe_load((root / FOUND).read_text(encoding="utf-8"))


def markdown(record: Mapping[str, Any], failures: Sequence[Mapping[str, str]]) -> str:
    """Return README's table: what was tried, what survived, and what was found and mended on the way."""
    parts = {name: record["parts"][name] for name in PARTS if name in record["parts"]}
    lines = [_where(parts), "", "| | tried | survived | faults found before | mended |", "|---|---|---|---|---|"]
    for name, part in parts.items():
        tried, survived = (sum(kind[what] for kind in part["kinds"].values()) for what in ("tried", "survived"))
        own = [failure for failure in failures if failure["part"] == name]
        mended = sum(bool(failure["mended"]) for failure in own)
        lines.append(f"| {part['title']} | {tried} | {survived} | {len(own)} | {mended} |")
    lines += ["", "<details><summary>Each kind of fault</summary>", ""]
    lines += ["| | tried | survived | |", "|---|---|---|---|"]
    for part in parts.values():
        lines += _kinds(part)
    return "\n".join([*lines, "", "</details>"])


def _where(parts: Mapping[str, Any]) -> str:
    whole = list(parts.values())
    dates = sorted({part["date"] for part in whole})
    machine, versions = whole[-1]["machine"], whole[-1]["versions"]
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    seeds = sorted({part["seed"] for part in whole})
    minutes = sum(part["seconds"] for part in whole) / 60
    what = "The short campaign: " if any(part["short"] for part in whole) else ""
    return (
        f"*{what}{when}, "
        f"{machine['cores']} cores of {machine['name']}, torch {versions['torch']}, {minutes:.0f} minutes, "
        f"seed{'s' * (len(seeds) != 1)} {', '.join(map(str, seeds))}.*"
    )


def _kinds(part: Mapping[str, Any]) -> Iterator[str]:
    yield f"| **{part['title']}** | | | |"
    for kind, found_of_it in part["kinds"].items():
        notes = [found_of_it["not_here"]] if found_of_it["not_here"] else []
        notes += [f"{name}: {_numbers(figures)}" for name, figures in found_of_it["figures"].items()]
        yield f"| {kind} | {found_of_it['tried']} | {found_of_it['survived']} | {'; '.join(notes)} |"


def _numbers(figures: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {value:,.0f}" if value >= 1000 else f"{name} {value:.3g}" for name, value in figures.items()
    )
