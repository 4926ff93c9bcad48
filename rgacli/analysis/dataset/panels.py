"""The panels of what annotations say, and the numbers that each shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rgacli.analysis import figures, style
from rgacli.data.references import COCO, CROWDHUMAN, SIZES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rgacli.analysis.dataset.finding import DatasetFinding

_BARS = 45  # at most, of objects per image
_CLASSES = 12  # with a bar of their own
_OWN, _OTHERS = "this dataset", "others"


def points(found: DatasetFinding) -> list[dict[str, Any]]:
    """Return what the panels show: "panel", "series", "x", "value"."""
    return [
        {"panel": panel, "series": series, "x": x, "value": value}
        for panel, rows in (
            ("objects per image, % of images", _histogram(found)),
            ("share of the image, % of objects", _by_share(found)),
            ("class, objects", _by_class(found)),
            ("expected positives per image", _expected(found)),
        )
        for series, x, value in rows
    ]


def _edges(found: DatasetFinding) -> np.ndarray:
    """Return where bars of objects per image begin, and 1 past the last; what the densest hundredth has is in it."""
    end = max(np.quantile(found.objects, 0.99), CROWDHUMAN.mean + 2, np.quantile(COCO.objects, 0.99))
    width = int(np.ceil(end / _BARS))
    return np.arange(0, end + width + 1, width, dtype=int)


def _histogram(found: DatasetFinding) -> Iterator[tuple[str, int, float]]:
    edges = _edges(found)
    for series, objects in ((_OWN, found.objects), (COCO.name, np.array(COCO.objects))):
        numbers, _ = np.histogram(np.minimum(objects, edges[-1] - 1), edges)
        for low, number in zip(edges[:-1].tolist(), numbers.tolist(), strict=True):
            yield series, low, 100 * number / len(objects)
    yield f"{CROWDHUMAN.name}, mean", CROWDHUMAN.mean, 0


def _by_share(found: DatasetFinding) -> Iterator[tuple[str, float, float]]:
    shares = np.clip(found.shares, 1e-6, 1)  # boxes may be empty, or larger than their images
    edges = np.linspace(np.floor(np.log10(shares.min()) * 4) / 4, 0, 25)
    for size, (low, high) in SIZES.items():
        numbers, _ = np.histogram(np.log10(shares[(found.areas >= low) & (found.areas < high)]), edges)
        for edge, number in zip(edges[:-1].tolist(), numbers.tolist(), strict=True):
            yield size, 100 * 10**edge, 100 * number / len(shares)


def _by_class(found: DatasetFinding) -> Iterator[tuple[str, str, int]]:
    ranked = sorted(found.classes, key=lambda each: -each[1])
    for name, number in ranked[:_CLASSES]:
        yield _OWN, name, number
    if rest := ranked[_CLASSES:]:
        yield _OTHERS, f"{len(rest)} others", sum(number for _, number in rest)


def _expected(found: DatasetFinding) -> Iterator[tuple[str, str, float]]:
    for row in found.rows:
        yield "quota", row.ratio, row.quota
        yield "early in training", row.ratio, row.early
        yield "late in training", row.ratio, row.late


def _draw_objects(axis: Axes, found: DatasetFinding) -> None:
    edges = _edges(found)
    width = int(edges[1] - edges[0])
    rows = list(_histogram(found))
    own, coco = ([value for series, _, value in rows if series == name] for name in (_OWN, COCO.name))
    axis.bar(edges[:-1] + (width - 1) / 2, own, width=0.85 * width, color=style.color(0), label=_OWN)
    axis.stairs(coco, edges - 0.5, color=style.color(1), linewidth=1.5, label=COCO.name)
    line = dict(color=style.current().muted, linestyle=(0, (4, 2)), linewidth=1.5)
    axis.axvline(CROWDHUMAN.mean, ymax=0.68, **line, label=f"{CROWDHUMAN.name}: mean")
    axis.set_ylim(0, 1.45 * max(*own, *coco))  # room for the legend
    axis.set_xlim(-0.5 - width / 2, edges[-1])
    bars = [f"{width} numbers to a bar"] if width > 1 else []
    if max(found.objects.max(), *COCO.objects) >= edges[-1]:
        bars.append(f"the last bar: {edges[-2]} and more")
    axis.set_xlabel("objects in the image" + (f"\n({', '.join(bars)})" if bars else ""))
    axis.set_ylabel("images (%)")
    figures.plain_legend(axis, loc="upper right", handlelength=1.6)


def _draw_sizes(axis: Axes, found: DatasetFinding) -> None:
    rows = list(_by_share(found))
    numbers = found.by_size
    bottom = 0
    for place, size in enumerate(SIZES):
        left, heights = (np.array([row[column] for row in rows if row[0] == size]) for column in (1, 2))
        label = f"{size}: {100 * numbers[size] / len(found.areas):.0f} %"
        width = 0.9 * left * (left[1] / left[0] - 1)  # on a logarithmic axis all look as wide
        axis.bar(left, heights, bottom=bottom, width=width, align="edge", color=style.color(place), label=label)
        bottom = bottom + heights
    axis.set_xscale("log")
    axis.set_ylim(0, 1.25 * np.max(bottom))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlabel("box's share of the image's area (%)")
    axis.set_ylabel("objects (%)")
    figures.plain_legend(axis, loc="upper center", ncols=3, handlelength=0.8, handletextpad=0.4, columnspacing=0.9)


def _draw_classes(axis: Axes, found: DatasetFinding) -> None:
    rows = list(_by_class(found))
    names = [figures.abbreviated(name) for _, name, _ in rows]
    numbers = [number for *_, number in rows]
    colors = [style.current().muted if series == _OTHERS else style.color(0) for series, *_ in rows]
    bars = axis.barh(range(len(rows)), numbers, color=colors)
    axis.bar_label(bars, padding=3, fontsize="small")
    axis.set_yticks(range(len(rows)), names, fontsize="small", parse_math=False)  # names may hold a "$"
    axis.set_ylim(max(len(rows), 4) - 0.4, -0.6)
    axis.set_xlim(0, 1.18 * max(numbers))
    axis.locator_params(axis="x", integer=True)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.set_xlabel("objects")


def _draw_expected(axis: Axes, found: DatasetFinding) -> None:
    rows = found.rows
    places = np.arange(len(rows))
    early, late, quotas = ([getattr(row, name) for row in rows] for name in ("early", "late", "quota"))
    axis.bar(places - 0.2, early, width=0.38, color=style.color(0), alpha=0.4, label="early in training")
    axis.bar(places + 0.2, late, width=0.38, color=style.color(0), label="late")
    axis.hlines(quotas, places - 0.42, places + 0.42, color=style.current().ink, linewidth=1.5, label="quota")
    for place, row in enumerate(rows):
        filled = f"{100 * row.late / row.quota:.0f} %"
        axis.annotate(filled, (place + 0.2, row.quota), (0, 3), textcoords="offset points", ha="center", size="small")
    axis.set_xticks(places, [f"{row.ratio}\n(to try)" if row.chosen else row.ratio for row in rows])
    for tick, row in zip(axis.get_xticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.chosen else "normal")
    axis.set_ylim(0, 1.3 * max(quotas))
    axis.set_xlabel("sampling ratio, positives : negatives")
    axis.set_ylabel(f"positives per image, of {found.sampling.rois} RoIs")
    figures.plain_legend(axis, loc="upper right", ncols=3, handlelength=1, columnspacing=1.2)


PANELS = (_draw_objects, _draw_sizes, _draw_classes, _draw_expected)
