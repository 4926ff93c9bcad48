"""What is aimed at, in ratios within one record, and whether it was reached there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

_FLOOR_BATCH = 16


@dataclass(frozen=True)
class Goal:
    """A figure and the most (or, of a speed-up, the least) that it may be.

    Attributes:
        what: The figure, in words.
        limit: The bound; None on a device that it is no goal on.
        measured: None where the record does not tell.
        unit: "×", "%", "s", or "" of a number.
        at_least: Whether the bound is the least.
    """

    what: str
    limit: float | None
    measured: float | None
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was reached; None where there is nothing to tell it by."""
        if self.limit is None or self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def goals(record: Record) -> list[Goal]:
    """Return the goals that are some on a record's device, with what was measured.

    Args:
        record: As `record.assemble` returns it; of a part of the benchmarks, the others are None.
    """
    gpu = record["machine"]["device"] == "cuda"

    def limit(on_gpu: float | None, on_cpu: float | None) -> float | None:
        return on_gpu if gpu else on_cpu

    found = [
        Goal("training step, K = 2 against K = 1", limit(1.08, 1.15), _ratio(record, "train", "k2/k1")),
        Goal("training step, K = 2 against mmdet's one head", limit(0.9, 0.7), _training(record, compiled=False)),
        Goal(
            "training step, K = 2 compiled, in mixed precision, against mmdet's one head",
            limit(0.7, None),
            _training(record, compiled=True),
        ),
        Goal("inference, K = 2 against mmdet's one head", limit(0.8, 0.75), _ratio(record, "infer", "k2/stock")),
        Goal("inference, K = 2 against torchvision", limit(0.8, 1.0), _ratio(record, "infer", "k2/torchvision")),
        Goal("all heads and ensemble evaluated, against one head", 1.15, _ratio(record, "infer", "k2-all/k1")),
        Goal("RGA's share of a training step", 0.5, _percent(_row(record, "train", "k2").get("rga_share")), "%"),
        Goal("training step against its arithmetic, 16 images", limit(1.25, None), _to_floor(record)),
        Goal("peak memory of training, K = 2 against mmdet's one head", limit(1.1, None), _memory(record)),
        Goal("metrics, bins and bootstraps against pycocotools", 20.0, _speed_up(record), at_least=True),
        Goal("the help", 0.3, record.get("startup", {}).get("help", {}).get("median"), "s"),
    ]
    for section, what, ops, syncs in (("train", "training forward", 600, 4), ("infer", "inference", 350, 2)):
        counts = record.get(section, {}).get("counts", {}).get("contestants", {}).get("k2", {})
        for kind, most in (("ops", ops), ("syncs", syncs)):
            at = ", ".join(counts) or "2, 8, 16"
            words = {"ops": "operations", "syncs": "synchronisations"}[kind]
            found.append(Goal(f"{words} of K = 2's {what}, the most at {at} images", most, _most(counts, kind), ""))
    return [goal for goal in found if goal.limit is not None]


def as_rows(record: Record) -> list[dict[str, Any]]:
    """Return a record's goals as plain rows: what, limit, measured, unit, at_least, met."""
    return [
        {"what": g.what, "limit": g.limit, "measured": g.measured, "unit": g.unit, "at_least": g.at_least, "met": g.met}
        for g in goals(record)
    ]


def _row(record: Record, section: str, contestant: str) -> Mapping[str, Any]:
    return record.get(section, {}).get("rows", {}).get(contestant, {})


def _ratio(record: Record, section: str, name: str) -> float | None:
    return record.get(section, {}).get("ratios", {}).get(name, {}).get("median")


def _training(record: Record, *, compiled: bool) -> float | None:
    """Return K = 2's training step against mmdet's, of a record with (and in mixed precision) or without compiling."""
    settings = record.get("train", {}).get("settings", {})
    is_such = bool(settings.get("compile")) == compiled and (settings.get("amp") or not compiled)
    return _ratio(record, "train", "k2/stock") if is_such else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _to_floor(record: Record) -> float | None:
    if record.get("train", {}).get("settings", {}).get("batch") != _FLOOR_BATCH:
        return None
    return _row(record, "train", "k2").get("to_floor", {}).get("median")


def _memory(record: Record) -> float | None:
    own, stock = (_row(record, "train", name).get("peak_memory") for name in ("k2", "stock"))
    return own / stock if own and stock else None


def _speed_up(record: Record) -> float | None:
    return record.get("eval", {}).get("speed_up", {}).get("pycocotools")


def _most(counts: Mapping[str, Mapping[str, int]], kind: str) -> int | None:
    return max((count[kind] for count in counts.values()), default=None)
