"""Positive proposals of a trained RPN against the number of objects in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rgacli.analysis.figures import require_place
from rgacli.analysis.proposals import Row, collect, plot, table
from rgacli.config.recipe import require_rpn
from rgacli.engine.device import Device, on_device
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.gt_bins import bins_text, parse_bins
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.trained import find_trained


@dataclass(frozen=True)
class ProposalsResult:
    """Positive proposals by the number of objects in the image.

    Attributes:
        run: The run's (or checkpoint's) name.
        split: As it was asked for.
        bins: As `proposals` takes them.
        figure: The figure (PNG); the counts of each image are beside it, as CSV.
        rows: One per bin.
    """

    run: str
    split: str
    bins: str
    figure: Path
    rows: Sequence[Row]


def proposals(
    run: str | Path | None = None,
    *,
    bins: str | None = None,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    data: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    out: Path | None = None,
    device: Device = "auto",
    progress: Progress | None = None,
) -> ProposalsResult:
    """Count the positive proposals of the trained RPN by the number of objects in the image, and draw it (Fig. 1b).

    A proposal is positive if its IoU with any object is at least 0.5; counted among those the RPN passes on.

    Args:
        run: A run's name or folder; the latest without.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        out: Folder of the figure; by default RUN/figures/SPLIT.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each image.

    Raises:
        UsageError, DataError: the detector, the split or the bins cannot be used; the detector has no RPN; no image
            falls into any bin.
    """
    own_bins = None if bins is None else parse_bins(bins)
    with on_device(device):
        found = SplitDetections.of(find_trained(run, checkpoint, config, which=which), split, data)
        chosen = own_bins or benchmark_of(found.annotations).bins
        require_rpn(found.cfg)
        figure = Path(out or found.figures) / "proposals.png"
        require_place(figure)
        records = collect(found, progress=progress)
    plot(records, chosen, figure)
    tell(f"figure: {figure}; data: {figure.with_suffix('.csv')}")
    return ProposalsResult(found.name, split, bins_text(chosen), figure, table(records, chosen))
