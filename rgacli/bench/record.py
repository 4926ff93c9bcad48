"""A record: what was measured, where and when, with the goals; as JSON, and as README's table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rgacli.bench.goals import as_rows
from rgacli.engine.machine import about
from rgacli.errors import DataError
from rgacli.files import write_text

FORMAT = 1
SECTIONS = ("train", "infer", "eval", "data", "startup")


def assemble(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of what was measured just now.

    Args:
        sections: Of SECTIONS -> what its benchmark returned.
    """
    record = {"format": FORMAT, **about(), **sections}
    return {**record, "goals": as_rows(record)}


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write a record as JSON."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        DataError: it is not there, or none of this format.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"record {path} does not exist.") from error
    except ValueError as error:
        raise DataError(f"record {path} is no JSON: {error}.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(f"{path} is no record of a benchmark of this version.")
    return record


def markdown(record: Mapping[str, Any]) -> str:
    """Return the table that README has of a record: where it was taken, images per second, and the goals."""
    lines = [*_where(record), ""]
    if contestants := _contestants(record):
        lines += ["| | training, images/s | inference, images/s | operations / synchronisations of a step |"]
        lines += ["|---|---|---|---|", *contestants, ""]
    lines += ["| goal | at most | measured | |", "|---|---|---|---|"]
    lines += [_goal(row) for row in record["goals"]]
    return "\n".join(lines)


_TIMED = {"train": "training", "infer": "inference"}


def _where(record: Mapping[str, Any]) -> list[str]:
    machine, versions = record["machine"], record["versions"]
    place = machine["name"] if machine["device"] == "cuda" else f"{machine['threads']} threads of {machine['name']}"
    packages = ", ".join(f"{name} {versions[name]}" for name in ("torch", "torchvision", "mmdet") if name in versions)
    text = f"*{record['date']}, {place}, {packages}"
    sections = {name: record[section]["settings"] for section, name in _TIMED.items() if record.get(section)}
    if sections:
        settings = next(iter(sections.values()))
        height, width = settings["size"]
        text += f"; {settings['batch']} images of {height}×{width}, {settings['amp'] or 'fp32'}"
        repeats = {name: own["repeats"] for name, own in sections.items()}
        each = [f"{number} ({name})" for name, number in repeats.items()]
        text += f", medians of {settings['repeats'] if len(set(repeats.values())) == 1 else ' and '.join(each)}"
    return [text + ".*"]


def _contestants(record: Mapping[str, Any]) -> list[str]:
    """Return a line for each contestant and floor: its speed, and its counts at the most images."""
    train, infer = (record.get(section, {}) for section in ("train", "infer"))
    rows = {**train.get("rows", {}), **infer.get("rows", {})}
    lines = []
    for name, row in rows.items():
        speeds = [_speed(section.get("rows", {}).get(name)) for section in (train, infer)]
        counts = " and ".join(
            text for section in (train, infer) if (text := _count(section.get("counts", {}), name)) is not None
        )
        lines.append(f"| {row['title']} | {' | '.join(speeds)} | {counts} |")
    return lines


def _speed(row: Mapping[str, Any] | None) -> str:
    return f"{row['images_per_second']:.3g}" if row else ""


def _count(counts: Mapping[str, Any], name: str) -> str | None:
    own = counts.get("contestants", {}).get(name)
    if not own:
        return None
    images, most = max(own.items(), key=lambda item: int(item[0]))
    return f"{most['ops']} / {most['syncs']} ({images} images)"


def _goal(row: Mapping[str, Any]) -> str:
    bound = f"≥ {row['limit']:g}{row['unit']}" if row["at_least"] else f"{row['limit']:g}{_unit(row)}"
    measured = "not measured" if row["measured"] is None else f"{row['measured']:.3g}{_unit(row)}"
    if row["measured"] is not None and not row["unit"]:
        measured = f"{row['measured']:g}"
    verdict = {True: "met", False: "not met", None: ""}[row["met"]]
    return f"| {row['what']} | {bound} | {measured} | {verdict} |"


def _unit(row: Mapping[str, Any]) -> str:
    return {"%": " %", "s": " s"}.get(row["unit"], row["unit"])
