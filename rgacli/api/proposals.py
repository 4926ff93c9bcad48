"""Positive proposals of a trained RPN against the number of objects in the image."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.proposals import Proposals, collect, found_in
from rgacli.analysis.style import StyleName, require_style
from rgacli.config.recipe import require_rpn
from rgacli.engine.device import Device, on_device
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.gt_bins import parse_bins
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.progress import Progress
from rgacli.trained import find_trained


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
    style: StyleName = "screen",
    device: Device = "auto",
    progress: Progress | None = None,
) -> Analysis:
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
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each image.

    Returns:
        Rows are `rgacli.analysis.proposals.Row`, one per bin.

    Raises:
        UsageError, DataError: the detector, the split or the bins cannot be used; the detector has no RPN; no image
            falls into any bin.
    """
    own_bins = None if bins is None else parse_bins(bins)
    require_style(style)
    with on_device(device):
        found = SplitDetections.of(find_trained(run, checkpoint, config, which=which), split, data)
        chosen = own_bins or benchmark_of(found.annotations).bins
        require_rpn(found.cfg)
        path = place(Proposals, out or found.figures)
        records = collect(found, progress=progress)
    return publish(found_in(records, chosen, run=found.name, split=split), path, style)
