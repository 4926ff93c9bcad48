"""Closer looks at what was found on a split: each class, figures, and pictures of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.analysis import confusion, pr_curves
from rgacli.analysis.figures import require_place
from rgacli.analysis.pictures import beside_truth
from rgacli.api.parameters import require_used
from rgacli.data.annotations import has_masks
from rgacli.evaluation.classwise import ClassMetrics, by_class
from rgacli.evaluation.coco_metrics import Evaluation, evaluate
from rgacli.evaluation.results import require_score
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.inference.show import SplitPictures
from rgacli.messages import tell
from rgacli.progress import Progress

SHOW_COUNT = 50
SCORE = 0.3


@dataclass(frozen=True)
class Looks:
    """What is asked for beside the metrics; see `evaluate`.

    Raises:
        UsageError: a value is out of range, or nothing that is asked for uses it.
    """

    per_class: bool
    plots: bool
    show_dir: Path | None
    show_count: int
    score: float

    def __post_init__(self) -> None:
        require_used("show_count", self.show_count, SHOW_COUNT, show_dir=self.show_dir)
        require_used("score", self.score, SCORE, plots=self.plots, show_dir=self.show_dir)
        require_score(self.score)

    @property
    def asked(self) -> list[str]:
        """Parameters by which any look is asked for."""
        return [name for name in ("per_class", "plots", "show_dir") if getattr(self, name)]

    def figures(self, found: SplitDetections) -> tuple[Path, ...]:
        """Return where the figures go: PR curves, then the confusion matrices."""
        return tuple(found.figures / name for name in ("pr_curves.png", "confusion.png")) if self.plots else ()

    def require_places(self, found: SplitDetections) -> None:
        """Make sure that all can be written, before the work.

        Raises:
            UsageError, OSError: it cannot.
        """
        for path in self.figures(found):
            require_place(path)
        if self._pictures(found):
            require_place(Path(self.show_dir) / "picture.jpg")

    def take(
        self, found: SplitDetections, results: Mapping[str, Sequence[Mapping[str, Any]]], progress: Progress | None
    ) -> list[ClassMetrics]:
        """Measure, draw, and return the classes, if they are asked for.

        Args:
            found: The split.
            results: Head -> its detections.
            progress: Told of each picture.
        """
        truth, classes = found.annotations, []
        number = found.max_dets.value
        boxes = {}
        if self.per_class or self.plots:
            boxes = {head: evaluate(truth, own, max_dets=number) for head, own in results.items()}
        if self.per_class:
            classes = by_class(truth, boxes, _masks(truth, results, number))
        if self.plots:
            curves, matrices = self.figures(found)
            pr_curves.plot(pr_curves.collect(boxes), curves)
            confusion.plot(boxes, self.score, matrices)
            tell(f"figures: {curves}, {matrices}; data: beside them, as CSV")
        if pictures := self._pictures(found):
            number = pictures.draw(results, beside_truth, score=self.score, progress=progress)
            tell(f"{number} pictures in {self.show_dir}")
        return classes

    def _pictures(self, found: SplitDetections) -> SplitPictures | None:
        return SplitPictures(found, Path(self.show_dir), self.show_count) if self.show_dir else None


def _masks(
    truth: Mapping[str, Any], results: Mapping[str, Sequence[Mapping[str, Any]]], max_dets: int
) -> dict[str, Evaluation]:
    """Return the masks, matched, of the heads that have some, where they can be."""
    with_masks = {head: own for head, own in results.items() if own and "segmentation" in own[0]}
    if not has_masks(truth):
        return {}
    return {head: evaluate(truth, own, masks=True, max_dets=max_dets) for head, own in with_masks.items()}
