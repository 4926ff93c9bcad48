"""How many positive proposals a trained RPN yields, by the number of objects in the image (paper, Fig. 1b)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import numpy as np
import torch

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor, nn

from rgacli.analysis import figures, style
from rgacli.analysis.finding import Finding, Table
from rgacli.engine.runner import QuietRunner, quiet_stdout
from rgacli.errors import UsageError
from rgacli.evaluation.detect import split_dataloader
from rgacli.evaluation.gt_bins import GTBin, bins_text
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.modeling.build import build_detector
from rgacli.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIVE_IOU = 0.5


class Record(TypedDict):
    """One test image."""

    image_id: int
    gt_count: int  # non-crowd ground-truth boxes
    proposals: int  # that the RPN passes on
    positives: int  # of those, with IoU >= 0.5 with any object


@dataclass(frozen=True)
class Row:
    """The images of one bin; statistics over images, NaN without any.

    Attributes:
        bin: The bin's label.
        images: Number of images.
        mean, lower_quartile, median, upper_quartile: Of the number of positive proposals.
        share: Mean of positives / proposals, over the images that have proposals.
    """

    bin: str
    images: int
    mean: float
    lower_quartile: float
    median: float
    upper_quartile: float
    share: float


@dataclass(frozen=True)
class Proposals(Finding):
    """Positive proposals by the number of objects in the image.

    Attributes:
        records: Of each image.
        bins: Bins that do not overlap.
        about: Run, split and bins.
        rows: One per bin.
    """

    name: ClassVar[str] = "proposals"
    title: ClassVar[str] = "positive proposals per image"
    paper: ClassVar[str] = "the more objects an image has, the more positive proposals a trained RPN yields (Fig. 1b)"
    records: Sequence[Record]
    bins: Sequence[GTBin]
    about: Mapping[str, Any]
    rows: Sequence[Row]

    def conclusion(self) -> str:
        """Say how many positives the bins have."""
        means = [f"{row.mean:.1f} in images with {row.bin} objects" for row in self.rows if row.images]
        return f"positive proposals per image: {', '.join(means)}"

    def tables(self) -> list[Table]:
        """Return the rows as a table."""
        rows = list(map(asdict, self.rows))
        headings = {key: key for key in rows[0]} | {"lower_quartile": "25 %", "upper_quartile": "75 %"}
        return [Table(f"{self.title}: {self.about['run']} on {self.about['split']}", headings, rows)]

    def points(self) -> list[dict[str, Any]]:
        """Return the records of the images in bins."""
        found = [{"bin": gt_bin.label, **record} for gt_bin, members in self._groups for record in members]
        if not found:
            raise UsageError("nothing to draw: no image falls into any bin.")
        return found

    def draw(self) -> Figure:
        """Draw Fig. 1b: per bin the distribution of the number of positive proposals, as a box over its images.

        Boxes hold the middle half of the images, whiskers the middle 90 %; dots are single images. Bins without images
        are left out.
        """
        groups = self._groups
        counts = [[record["positives"] for record in members] for _, members in groups]
        # Boxes rather than overlaid histograms: they stay legible from three images to thousands, and for many bins.
        figure, [[axis]] = figures.canvas(1, 1, panel=(max(4.0, 1.2 * len(groups)), 3.2))
        spread = np.random.default_rng(0)
        for position, values in enumerate(counts):
            axis.plot(
                position + spread.uniform(-0.28, 0.28, len(values)),
                values,
                ".",
                color=style.color(0),
                alpha=min(0.8, max(0.1, 50 / len(values))),
                markeredgewidth=0,
                clip_on=False,  # whole dots at 0
            )
        axis.boxplot(
            counts,
            positions=range(len(groups)),
            widths=0.6,
            whis=(5, 95),
            showfliers=False,
            boxprops={"color": style.current().ink},
            whiskerprops={"color": style.current().ink},
            capprops={"color": style.current().ink},
            medianprops={"color": style.color(1), "linewidth": 2},
        )
        axis.set_xticks(
            range(len(groups)),
            [
                f"{gt_bin.label}\n({len(members)} {'images' if len(members) > 1 else 'image'})"
                for gt_bin, members in groups
            ],
        )
        axis.set_xlabel("ground-truth objects in the image")
        axis.set_ylabel("positive proposals per image")
        axis.set_ylim(bottom=0)
        return figure

    @property
    def _groups(self) -> list[tuple[GTBin, list[Record]]]:
        return [(gt_bin, members) for gt_bin, members in _grouped(self.records, self.bins) if members]


def collect(detector: SplitDetections, *, progress: Progress | None = None) -> list[Record]:
    """Run a detector's RPN over a split and count its positive proposals, image by image.

    Args:
        detector: A two-stage detector, and the split.
        progress: Told of each image.

    Raises:
        UsageError, DataError: the checkpoint, the split or its annotations cannot be used.
    """
    truth = _boxes(detector.annotations)
    detector.make_room()
    model = build_detector(detector.cfg, detector.checkpoint)
    with quiet_stdout():
        loader = QuietRunner.build_dataloader(split_dataloader(detector.cfg, detector.split))
    records = []
    for record in count_positive_proposals(model, loader, truth):
        records.append(record)
        if progress:
            progress("proposals", len(records), len(loader.dataset))
    return records


def _boxes(annotations: Mapping[str, Any]) -> dict[int, Tensor]:
    """Return image id -> its non-crowd objects (G, 4), xyxy in pixels."""
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in annotations["images"]}
    for entry in annotations["annotations"]:
        if not entry.get("iscrowd") and entry["image_id"] in boxes:
            x, y, width, height = entry["bbox"]
            boxes[entry["image_id"]].append([x, y, x + width, y + height])
    return {image: torch.tensor(found, dtype=torch.float32).reshape(-1, 4) for image, found in boxes.items()}


@torch.no_grad()
def count_positive_proposals(
    model: nn.Module, batches: Iterable[dict], boxes: Mapping[int, Tensor]
) -> Iterator[Record]:
    """Count how many of the proposals that the RPN passes on are positive: IoU >= 0.5 with any object (Fig. 1b).

    Args:
        model: A two-stage detector, in eval mode.
        batches: Of a test dataloader.
        boxes: Image id -> ground truth (G, 4), xyxy in the original image's pixels.

    Yields:
        Per image, a record.
    """
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        features = model.extract_feat(data["inputs"])
        found = model.rpn_head.predict(features, data["data_samples"], rescale=True)
        for sample, proposals in zip(data["data_samples"], found, strict=True):
            image_id = sample.metainfo["img_id"]
            truth = boxes[image_id].to(proposals.bboxes.device)
            overlaps = bbox_overlaps(proposals.bboxes, truth)
            positives = (overlaps >= POSITIVE_IOU).any(dim=1).sum() if len(truth) else 0
            yield {
                "image_id": image_id,
                "gt_count": len(truth),
                "proposals": len(proposals.bboxes),
                "positives": int(positives),
            }


def found_in(records: Sequence[Record], bins: Sequence[GTBin], **about: Any) -> Proposals:
    """Return what the records say of each bin; `about` is what they were counted on."""
    rows = [_summary(gt_bin.label, members) for gt_bin, members in _grouped(records, bins)]
    return Proposals(records, bins, {**about, "bins": bins_text(bins)}, rows)


def _grouped(records: Sequence[Record], bins: Sequence[GTBin]) -> list[tuple[GTBin, list[Record]]]:
    return [(gt_bin, [record for record in records if record["gt_count"] in gt_bin]) for gt_bin in bins]


def _summary(label: str, records: Sequence[Record]) -> Row:
    if not records:
        return Row(label, 0, *[math.nan] * 5)
    positives = np.array([record["positives"] for record in records])
    shares = [record["positives"] / record["proposals"] for record in records if record["proposals"]]
    return Row(
        label,
        len(records),
        float(positives.mean()),
        *np.quantile(positives, [0.25, 0.5, 0.75]).tolist(),
        sum(shares) / len(shares) if shares else math.nan,
    )
