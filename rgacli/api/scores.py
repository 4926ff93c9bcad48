"""The scores of parallel heads for the same boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.scores.collecting import collect, require_heads
from rgacli.analysis.scores.finding import Scores, found_in
from rgacli.analysis.scores.rows import MIN_SCORE
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.subjects import detectors_on_split, figures_folder
from rgacli.config.recipe import require_rpn
from rgacli.engine.device import Device, on_device
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.gt_bins import parse_bins
from rgacli.progress import Progress
from rgacli.wording import param


def scores(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    bins: str | None = None,
    min_score: float = MIN_SCORE,
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
    """Compare the scores that parallel heads give to the same boxes, and draw them (paper, Fig. 6).

    The boxes are the RPN's proposals; in a cascade, at later stages, those that the ensemble makes of them, with each
    head's logits averaged over the stages. They are scored before any NMS. An output is a box and a class. The CSV and
    the rows also have the boxes' foreground scores: the sum of all classes', whose number does not matter then.

    Args:
        runs: A run's name or folder, or several to overlay; the latest run without.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        min_score: An output counts if any head scores it so high; most boxes are background to all heads.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        out: Folder of the figure; by default RUN/figures/SPLIT, of several runs figures/SPLIT.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each image.

    Returns:
        Rows are `rgacli.analysis.scores.rows.Row`; the finding's `disagreement` says how far the heads differ in
        each image.

    Raises:
        UsageError, DataError: a detector, the split or the bins cannot be used; a detector has a single head or no
            RPN; no box is scored so high.
    """
    own_bins = None if bins is None else parse_bins(bins)
    if not 0 <= min_score <= 1:
        raise UsageError(f"{param('min_score', min_score)}: it must be between 0 and 1.")
    require_style(style)
    with on_device(device):
        detectors = detectors_on_split(runs, which=which, checkpoint=checkpoint, config=config, data=data, split=split)
        for detector in detectors.values():
            require_rpn(detector.cfg)
            require_heads(detector)
        first = next(iter(detectors.values()))
        chosen = own_bins or benchmark_of(first.annotations).bins
        path = place(Scores, out or figures_folder(detectors))
        found = [
            collect(detector, chosen, run=name, min_score=min_score, progress=progress)
            for name, detector in detectors.items()
        ]
    return publish(found_in(found, chosen, split=first.split, min_score=min_score), path, style)
