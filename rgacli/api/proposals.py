"""Positive proposals of trained RPNs against the number of objects in the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.proposals.collecting import collect
from rgacli.analysis.proposals.finding import Proposals, checkpoint_name, found_in
from rgacli.analysis.proposals.rows import Counted
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.subjects import detectors_on_split, figures_folder
from rgacli.config.recipe import require_rpn
from rgacli.engine.device import Device, on_device
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.gt_bins import parse_bins
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.progress import Progress
from rgacli.runs import Run


def proposals(
    runs: str | Path | Sequence[str | Path] | None = None,
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
    """Count the positive proposals of trained RPNs by the number of objects in the image, and draw it (Fig. 1b).

    A proposal is positive if its IoU with any object is at least 0.5; counted among those the RPN passes on. With
    several checkpoints it is also shown how this changes through the training, on the same images.

    Args:
        runs: A run's name or folder, or several to overlay; the latest run without.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12"); several ("2,6,last"; the
            last named stands for the run) or "all" that were kept. "initial" is what the training started from.
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        out: Folder of the figure; by default RUN/figures/SPLIT, of several runs figures/SPLIT.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each image.

    Returns:
        Rows are `rgacli.analysis.proposals.rows.Row`: per run and checkpoint one for all images, then one per bin.

    Raises:
        UsageError, DataError: a detector, a checkpoint, the split or the bins cannot be used; a detector has no RPN; no
            image falls into any bin.
    """
    own_bins = None if bins is None else parse_bins(bins)
    require_style(style)
    one_each = checkpoint is not None or not (which == "all" or "," in which or which == "initial")
    with on_device(device):
        detectors = detectors_on_split(
            runs, which=which if one_each else "last", checkpoint=checkpoint, config=config, data=data, split=split
        )
        for detector in detectors.values():
            require_rpn(detector.cfg)
        weights = {
            name: [detector.checkpoint] if one_each else Run(detector.home).several_checkpoints(which)
            for name, detector in detectors.items()
        }
        first = next(iter(detectors.values()))
        chosen = own_bins or benchmark_of(first.annotations).bins
        path = place(Proposals, out or figures_folder(detectors))
        counted = [_counted(name, detectors[name], own, progress) for name, paths in weights.items() for own in paths]
    return publish(found_in(counted, chosen, split=first.split), path, style)


def _counted(name: str, detector: SplitDetections, checkpoint: Path, progress: Progress | None) -> Counted:
    return Counted(name, checkpoint_name(checkpoint), collect(detector, checkpoint, progress=progress))
