"""How well detections above a score count objects, and which score counts them right, per bin of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import per_bin, words
from rgacli.analysis.count_error import figure
from rgacli.analysis.count_error.right_score import SCORES, Right, numbers_from, right_score
from rgacli.analysis.count_error.rows import Contrast, Point, Row, contrasts_of, curve_of, row_of
from rgacli.analysis.finding import Finding, Table
from rgacli.analysis.intervals import Estimate
from rgacli.data.annotations import gt_counts
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import strongest
from rgacli.evaluation.gt_bins import ALL, GTBin, bins_text
from rgacli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TOLD = 4  # each by itself, in a sentence


@dataclass(frozen=True)
class CountError(Finding):
    """Counts of detections against counts of objects.

    Attributes:
        bins: As `parse_bins` reads them.
        score: The least of the detections that are counted.
        rows: Per set of detections one for all images, then one per bin.
        curves: The error from every score on.
        contrasts: Of each two heads that are compared, on all images and each bin; of each head, in the outermost bins
            that are not of too few images.
    """

    name: ClassVar[str] = "count_error"
    title: ClassVar[str] = "detections against objects"
    paper: ClassVar[str] = (
        "counts nothing; it says that a head trained with fewer positives predicts positives more prudently, which "
        "suits images with few objects (Sec. 1)"
    )
    bins: str
    score: float
    rows: Sequence[Row]
    curves: Sequence[Point]
    contrasts: Sequence[Contrast]

    @property
    def about(self) -> dict[str, Any]:
        """The bins, the score, and how right scores differ."""
        return {"bins": self.bins, "score": self.score, "contrasts": list(map(asdict, self.contrasts))}

    def conclusion(self) -> str:
        """Say how far the counts are off at the score, which scores are right where, and how those differ."""
        names = list(dict.fromkeys(row.name for row in self.rows))
        compared = {name for each in self._of_heads for name in (each.first, each.second)}
        others = [name for name in names if name not in compared]
        named = names if len(names) <= _MOST_TOLD else others
        overall = [_error(row) for row in self.rows if row.bin == ALL and row.name in named and row.objects]
        known = [each for each in self.contrasts if not math.isnan(each.value)]
        of_bins = [each for each in known if each.first == each.second and each.first in (others or named)]
        between = [_contrast(each) for each in known if each.first != each.second and each.first_bin == ALL]
        sentences = [
            f"from a score of {self.score:g} on {', '.join(overall)}" if overall else "",
            *map(_contrast, of_bins),
            *between,
        ]
        return "; ".join(filter(None, sentences)) or "no image has objects"

    def tables(self) -> list[Table]:
        """Return a table per run, and one of how right scores differ."""
        columns = {
            "head": "head",
            "bin": "bin",
            "objects": "objects",
            "detections": "found",
            "error": "error",
            "interval": "95 %",
            "right_score": "right",
            "right_interval": "95 %",
        }
        shown = (
            {
                **asdict(row),
                "interval": words.ends(row.error_low, row.error_high, 1),
                "right_interval": words.ends(row.right_low, row.right_high),
            }
            for row in self.rows
        )
        title = f"objects found from a score of {self.score:g} on, error per image, and the right score"
        tables = per_bin.tables(title, columns, shown)
        if self.contrasts:
            rows = [
                {
                    "what": _pair(each),
                    "where": each.first_bin if each.first_bin == each.second_bin else "",
                    "value": each.value,
                    "interval": words.ends(each.low, each.high),
                }
                for each in self.contrasts
            ]
            headings = {"what": "right scores", "where": "bin", "value": "difference", "interval": "95 %"}
            tables.append(Table("how right scores differ", headings, rows, group="what"))
        return tables

    def points(self) -> list[dict[str, Any]]:
        """Return the error from every score on."""
        if not self.curves:
            raise UsageError("nothing to draw: there are no detections, or no image has objects.")
        return list(map(asdict, self.curves))

    def draw(self) -> Figure:
        """Draw a panel per bin: the error over the score; where a line crosses zero is the right score."""
        return figure.draw(self)

    @property
    def _of_heads(self) -> list[Contrast]:
        return [each for each in self.contrasts if each.first != each.second]


def collect(
    annotations: Mapping[str, Any],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    bins: Sequence[GTBin],
    *,
    score: float = 0.3,
    max_dets: int | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> CountError:
    """Count every set of detections, of all classes together, on all images and on every bin.

    Detections in crowds count, whereas crowds do not: whoever counts detections does not know them apart.

    Args:
        annotations: A COCO dict.
        results: Name -> detections; their scores are probabilities.
        bins: Bins that do not overlap.
        score: The least of the detections that are counted.
        max_dets: How many of an image can be counted, those of the highest scores; None: all.
        bootstrap: Samples of images behind the intervals of right scores; fewer than 2 leave them NaN.
        seed: Of the resampling.
        progress: Told of each set of detections.

    Raises:
        DataError: a score is no probability.
    """
    counts = gt_counts(annotations)
    objects, place = np.array(list(counts.values())), {image: index for index, image in enumerate(counts)}
    groups = per_bin.groups(counts, bins)
    rows, curves = [], []
    found: dict[tuple[str, str], Right] = {}
    for done, (name, detections) in enumerate(results.items(), start=1):
        if max_dets:
            detections = strongest(detections, max_dets)
        scores = per_bin.probabilities(name, detections)
        owners = np.array([place[detection["image_id"]] for detection in detections], dtype=int)
        order = np.argsort(-scores, kind="stable")
        scores, owners = scores[order], owners[order]
        numbers = numbers_from(scores, owners, len(objects))
        for index, (label, images) in enumerate(groups.items()):
            rng = np.random.default_rng((seed, index))  # the same samples of images for every set of detections
            right = found[name, label] = right_score(scores, owners, images, objects, bootstrap, rng)
            rows.append(row_of(name, label, score, scores, owners, images, objects, right))
            if objects[images].sum() and len(scores):
                known = scores[-1] - 0.01 <= SCORES  # lower ones were dropped by the detector
                curves += curve_of(name, label, SCORES[known], numbers[np.ix_(images, known)], objects[images])
        if progress:
            progress("counting", done, len(results))
    return CountError(bins_text(bins), score, rows, curves, contrasts_of(found, list(results), groups))


def _error(row: Row) -> str:
    right = "never as many" if math.isnan(row.right_score) else f"right from {row.right_score:.2f} on"
    spread = words.spread(row.error_low, row.error_high, 1)
    if row.error_low <= 0 <= row.error_high:
        error = words.signed(row.error, 1)
        return f"{row.name} counts right within its interval ({error} objects an image, {spread}; {right})"
    kind = "many"
    if row.error < 0:
        kind, spread = "few", words.spread(-row.error_high, -row.error_low, 1)
    return f"{row.name} counts {abs(row.error):.1f} objects too {kind} an image ({spread}; {right})"


def _contrast(each: Contrast) -> str:
    estimate, spread = Estimate(each.value, each.low, each.high), words.spread(each.low, each.high)
    told = f"{words.signed(each.value, 2)}, {spread}"
    if each.first != each.second:
        known = "cannot be told apart" if estimate.is_zero_inside else "differ"
        return f"the right scores of {each.first} and {each.second} {known} {per_bin.where(each.first_bin)} ({told})"
    bins = f"in images with {per_bin.subset(each.first_bin)} than with {each.second_bin}"
    if estimate.is_zero_inside:
        return f"{each.first}'s right score is no other {bins} within its interval ({told})"
    return f"{each.first}'s right score is {'higher' if each.value > 0 else 'lower'} {bins} ({told})"


def _pair(each: Contrast) -> str:
    if each.first == each.second:
        return f"{each.first}: {each.first_bin} − {each.second_bin}"
    return f"{each.first} − {each.second}"
