"""The tables of what annotations say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rgacli.analysis.dataset.ratio_choice import CROWDED, SPARSE
from rgacli.analysis.finding import Table
from rgacli.data.check import gt_count_histogram
from rgacli.data.references import COCO, CROWDHUMAN

if TYPE_CHECKING:
    from rgacli.analysis.dataset.finding import DatasetFinding

_SHOWN = 10  # classes


def tables(found: DatasetFinding) -> list[Table]:
    """Return tables of objects per image, sizes, classes and ratios."""
    return [_counts(found), _bins(found), _sizes(found), _classes(found), _ratios(found)]


def _own(found: DatasetFinding) -> str:
    return f"this, {found.place['split']}"


def _counts(found: DatasetFinding) -> Table:
    rows = [
        {"name": _own(found), "images": len(found.objects), **spread(found.objects)},
        {"name": COCO.name, "images": COCO.images, **spread(np.array(COCO.objects))},
        {"name": CROWDHUMAN.name, "images": CROWDHUMAN.images, "mean": CROWDHUMAN.mean},
    ]
    columns = {"name": "", "images": "images", "mean": "mean", "tenth": "10 %", "median": "median"}
    return Table(f"{found.place['dataset']}: objects per image", {**columns, "ninth": "90 %", "most": "most"}, rows)


def _bins(found: DatasetFinding) -> Table:
    rows = []
    for name, objects in ((_own(found), found.objects.tolist()), (COCO.name, COCO.objects)):
        bins = gt_count_histogram(objects)
        rows.append({"name": name, **{label: _percent(bins[label], len(objects)) for label in bins}})
    return Table("% of the images, by their objects", {key: key if key != "name" else "" for key in rows[0]}, rows)


def _sizes(found: DatasetFinding) -> Table:
    bounds = {"small": "below 32² px", "medium": "32² to 96² px", "large": "96² px and more"}
    rows = [
        {"size": name, "area": bounds[name], "objects": number, "share": _percent(number, len(found.areas))}
        for name, number in found.by_size.items()
    ]
    median = f"{100 * np.median(found.shares):.2g} % of its image"
    return Table(
        f"objects by size, as COCO calls it; the median box is {median}",
        {"size": "size", "area": "area", "objects": "objects", "share": "%"},
        rows,
    )


def _classes(found: DatasetFinding) -> Table:
    ranked = sorted(found.classes, key=lambda each: -each[1])
    rows = [
        {"class": name, "objects": number, "share": _percent(number, len(found.areas))}
        for name, number in ranked[:_SHOWN]
    ]
    numbers = [number for _, number in ranked]
    note = f", {_SHOWN} of {len(ranked)}" if len(ranked) > _SHOWN else ""
    if absent := numbers.count(0):
        note += f"; {absent} {'has' if absent == 1 else 'have'} none"
    present = [number for number in numbers if number]
    if len(present) > 1:
        note += f"; the largest is {present[0] / present[-1]:.3g} times the smallest"
    return Table(f"objects by class{note}", {"class": "class", "objects": "objects", "share": "%"}, rows)


def _ratios(found: DatasetFinding) -> Table:
    rows = [
        {
            "ratio": row.ratio,
            "quota": row.quota,
            "early": round(row.early),
            "late": round(row.late),
            "of_quota": _percent(row.late, row.quota),
            "filled": _percent(row.filled, 1),
            "chosen": "yes" if row.chosen else "",
        }
        for row in found.rows
    ]
    headings = {"ratio": "ratio", "quota": "quota", "early": "early", "late": "late"}
    headings |= {"of_quota": "late, % of quota", "filled": "images that fill it, %", "chosen": "try"}
    sampling = found.sampling
    about = f"{sampling.rois} RoIs; late in training {sampling.positives_per_object:.1f} per object"
    return Table(f"expected positives per image, of {about}", headings, rows)


def spread(objects: np.ndarray) -> dict[str, float | int]:
    """Return the mean, quantiles and maximum of a number of objects (N,)."""
    methods = {SPARSE: "lower", 0.5: "lower", CROWDED: "higher"}
    tenth, median, ninth = (int(np.quantile(objects, share, method=method)) for share, method in methods.items())
    return {"mean": float(objects.mean()), "tenth": tenth, "median": median, "ninth": ninth, "most": int(objects.max())}


def _percent(part: float, whole: float) -> int:
    return round(100 * part / whole) if whole else 0
