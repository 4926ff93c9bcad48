"""What a dataset's annotations say before any training: objects per image, sizes, classes, and ratios to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rgacli.analysis import figures
from rgacli.analysis.dataset import panels, tables
from rgacli.analysis.dataset.ratio_choice import TRIED, Choice, Sampling, choose
from rgacli.analysis.dataset.rows import Row, row_of
from rgacli.analysis.finding import Finding, Table
from rgacli.data.annotations import Annotations, category_counts, category_names, gt_boxes, gt_counts
from rgacli.data.check import gt_count_histogram
from rgacli.data.references import COCO, CROWDHUMAN, SIZES
from rgacli.method import LAMBDA0, RATIOS, SamplingRatio

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class DatasetFinding(Finding):
    """What a split's annotations say.

    Attributes:
        place: The dataset's and the split's name.
        objects: Objects of each image (N,), images without any included.
        areas: Of each object, in px² (M,).
        shares: Of each object's box in its image's area (M,).
        classes: Name -> number of objects, in the order of the file.
        sampling: How heads are to sample.
        choice: The ratios to try.
        rows: One per ratio.
    """

    name: ClassVar[str] = "dataset"
    title: ClassVar[str] = "the dataset, before any training"
    paper: ClassVar[str] = (
        "on COCO the larger the gap between two heads' ratios the better, and 1:1 with 1:9 the best (Table 5); a third "
        "head cost 0.2 AP (Table 6); λ0 from 5 to 9 helped, 7 the most (Table 4)"
    )
    place: Mapping[str, str]
    objects: np.ndarray
    areas: np.ndarray
    shares: np.ndarray
    classes: Sequence[tuple[str, int]]
    sampling: Sampling
    choice: Choice
    rows: Sequence[Row]

    @property
    def about(self) -> dict[str, Any]:
        """The split, its statistics, and what is recommended."""
        return {
            **self.place,
            "images": len(self.objects),
            "objects": int(self.objects.sum()),
            "objects_per_image": tables.spread(self.objects),
            "images_by_objects": gt_count_histogram(self.objects.tolist()),
            "objects_by_size": self.by_size,
            "median_area": float(np.median(self.areas)),
            "median_share_of_image": float(np.median(self.shares)),
            "objects_by_class": [{"name": name, "objects": number} for name, number in self.classes],
            "sampling": asdict(self.sampling),
            "recommended": {"ratios": [str(ratio) for ratio in self.choice.ratios], "lambda0": LAMBDA0},
        }

    @property
    def by_size(self) -> dict[str, int]:
        """COCO's sizes -> number of objects."""
        return {name: int(((self.areas >= low) & (self.areas < high)).sum()) for name, (low, high) in SIZES.items()}

    def conclusion(self) -> str:
        """Recommend ratios, with the reasoning in numbers."""
        choice = self.choice
        sparse, crowded = (float(self.sampling.available(objects)) for objects in (choice.sparse, choice.crowded))
        most = next(row for row in self.rows if row.ratio == str(choice.most))
        return (
            f"{self.objects.mean():.1f} objects per image (COCO {COCO.mean:.1f}, CrowdHuman {CROWDHUMAN.mean:.1f}). "
            f"A head draws {self.sampling.rois} RoIs of an image, of {self.sampling.proposals} proposals. Of images "
            f"with any, the sparsest tenth has up to {choice.sparse}, late in training about {sparse:.0f} "
            f"positives, the most crowded {choice.crowded} and more, about {crowded:.0f}. {self._ratios(crowded)}. "
            f"Early in training a head at {most.ratio} finds {most.early:.1f} positives an image, late "
            f"{most.late:.1f}; that gap is what RGA is for, in the paper at λ0 = {LAMBDA0:g}. This is a rule of thumb. "
            f"{TRIED}{self._beside}"
        )

    @property
    def _beside(self) -> str:
        if tuple(map(str, self.choice.ratios)) == RATIOS:
            return ". Here it asks for the paper's own ratios"
        return f". The paper's {' with '.join(RATIOS)}, trained beside it, tells what it is worth here"

    def _ratios(self, crowded: float) -> str:
        """Say which ratios, and why, by the positives of a crowded image."""
        most, fewest = ((self.sampling.quota(ratio), ratio) for ratio in (self.choice.most, self.choice.fewest))
        if most == fewest:
            return (
                f"Both ask for {most[1]} (quota {most[0]}): by this rule images differ too little in their positives "
                "for PRM to have much to balance, and one head at that ratio may do"
            )
        fits = "into one of" if crowded <= most[0] else "not even into one of"
        return (
            f"The former fit into a quota of {fewest[0]} ({fewest[1]}), the latter {fits} {most[0]} ({most[1]}): try "
            f"the ratios {most[1]} and {fewest[1]}"
        )

    def tables(self) -> list[Table]:
        """Return tables of objects per image, sizes, classes and ratios."""
        return tables.tables(self)

    def points(self) -> list[dict[str, Any]]:
        """Return what the panels show, one below the other."""
        return panels.points(self)

    def draw(self) -> Figure:
        """Draw a panel each of objects per image, sizes, classes and expected positives."""
        figure, axes = figures.panels(4, panel=(4.15, 3.3))
        for axis, draw in zip(axes, panels.PANELS, strict=True):
            draw(axis, self)
        return figure


def collect(
    content: Annotations, ratios: Sequence[SamplingRatio], sampling: Sampling, *, dataset: str, split: str
) -> DatasetFinding:
    """Count what annotations hold, and choose ratios.

    Args:
        content: At least one non-crowd object.
        ratios: To choose from.
        sampling: How heads are to sample.
        dataset, split: What they are called.
    """
    objects = np.array(list(gt_counts(content).values()))
    sizes = {image["id"]: image["width"] * image["height"] for image in content["images"]}
    boxes = list(gt_boxes(content))
    areas = np.array([box["area"] for box in boxes], dtype=float)
    shares = np.array([box["bbox"][2] * box["bbox"][3] / max(sizes[box["image_id"]], 1) for box in boxes], dtype=float)
    numbers = category_counts(content)
    classes = [(name, numbers[category]) for category, name in category_names(content).items()]
    trained_on = objects[objects > 0]  # mmdet leaves out images without objects
    choice = choose(trained_on, ratios, sampling)
    rows = [row_of(ratio, sampling, trained_on, ratio in choice.ratios) for ratio in ratios]
    place = {"dataset": dataset, "split": split}
    return DatasetFinding(place, objects, areas, shares, classes, sampling, choice, rows)
