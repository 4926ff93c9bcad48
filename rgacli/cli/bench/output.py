"""Printing what benchmarks measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rgacli.api.bench import Benchmark
from rgacli.cli.output import print_json, print_table, say

_SECTIONS = {"train": "training step", "infer": "inference"}


def print_benchmark(result: Benchmark, *, json: bool) -> None:
    """Print all tables of a record, or the record as JSON."""
    record = result.record
    if json:
        print_json(record)
    else:
        for section, title in _SECTIONS.items():
            if section in record:
                _print_detectors(title, record[section])
        if "eval" in record:
            _print_evaluation(record["eval"])
        if "data" in record:
            rows = [{"workers": n, **_spread(own)} for n, own in record["data"]["images_per_second"].items()]
            print_table("loading, images/s", {"workers": "workers", **_SPREAD}, rows)
        if "startup" in record:
            rows = [{"what": name, **_spread(own)} for name, own in record["startup"].items()]
            print_table("starting, seconds", {"what": "", **_SPREAD}, rows)
        _print_goals(record["goals"])
    if result.path:
        say(f"record: {result.path}")


_SPREAD = {"median": "median", "quartiles": "quartiles"}


def _spread(own: Mapping[str, Any]) -> dict[str, Any]:
    return {"median": _number(own["median"]), "quartiles": f"{own['low']:.3g} to {own['high']:.3g}"}


def _print_detectors(title: str, section: Mapping[str, Any]) -> None:
    settings = section["settings"]
    height, width = settings["size"]
    heading = (
        f"{title}: {settings['batch']} images of {height}x{width}, {settings['amp'] or 'fp32'}, {settings['device']}"
    )
    rows = [
        {
            "name": name,
            **_spread(row["seconds"]),
            "images": _number(row["images_per_second"]),
            "stock": _number(row.get("to_stock", {}).get("median")),
            "floor": _number(row.get("to_floor", {}).get("median")),
            "memory": _gigabytes(row.get("peak_memory")),
        }
        for name, row in section["rows"].items()
    ]
    columns = {"name": "", "median": "seconds", "quartiles": "quartiles", "images": "images/s"}
    columns |= {"stock": "of stock", "floor": "of floor", "memory": "peak GiB"}
    print_table(
        heading, {key: head for key, head in columns.items() if any(row[key] is not None for row in rows)}, rows
    )
    _print_parts(title, section["rows"])
    if counts := list(_counts(section["counts"]["contestants"])):
        columns = {"name": "", "images": "images", "ops": "operations", "syncs": "syncs", "nms": "nms"}
        print_table(f"{title}, the forward pass counted", columns, counts, group="name")
    inputs = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in section["inputs"].items())
    say(f"weights: {section['weights']}; per image: {inputs}")
    for line in section["left_out"]:
        say(f"left out: {line}")


def _print_parts(title: str, rows: Mapping[str, Any]) -> None:
    timed = {name: row["parts"] for name, row in rows.items() if "parts" in row}
    names = dict.fromkeys(part for parts in timed.values() for part in parts)
    table = [{"part": part, **{name: parts.get(part) for name, parts in timed.items()}} for part in names]
    print_table(f"{title}, seconds by part", {"part": "", **{name: name for name in timed}}, table)


def _counts(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterator[dict[str, Any]]:
    for name, by_images in counts.items():
        for images, own in by_images.items():
            yield {"name": name, "images": int(images), **own}


def _print_evaluation(section: Mapping[str, Any]) -> None:
    parts = dict.fromkeys(part for own in section["seconds"].values() for part in own)
    rows = [
        {
            "library": name,
            **{part: _number(own.get(part)) for part in parts},
            "speed_up": _number(section["speed_up"].get(name)),
        }
        for name, own in section["seconds"].items()
    ]
    settings = section["settings"]
    heading = (
        f"AP of {len(settings['variants'])} x {settings['images']} images, {len(settings['bins'])} bins, "
        f"{settings['samples']} samples each; seconds"
    )
    print_table(heading, {"library": "", **{part: part for part in parts}, "speed_up": "ours is faster by"}, rows)
    apart = ", ".join(f"{name} {value:.2g}" for name, value in section["greatest_difference"].items())
    say(f"the greatest difference of an AP: {apart}; extrapolated: {section['extrapolated']}")
    for line in section["left_out"]:
        say(f"left out: {line}")


def _print_goals(goals: list[Mapping[str, Any]]) -> None:
    rows = [
        {
            "what": row["what"],
            "goal": f"{'≥' if row['at_least'] else '≤'} {row['limit']:g}{row['unit']}",
            "measured": None if row["measured"] is None else f"{row['measured']:.4g}{row['unit']}",
            "met": {True: "met", False: "not met", None: None}[row["met"]],
        }
        for row in goals
        if row["measured"] is not None
    ]
    if rows:
        print_table("goals", {"what": "", "goal": "goal", "measured": "measured", "met": ""}, rows)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _gigabytes(value: int | None) -> str | None:
    return None if value is None else f"{value / 2**30:.2f}"
