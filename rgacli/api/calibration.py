"""How far the scores of runs' heads, or of any detectors, can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rgacli.analysis.calibration.finding import Calibration, collect
from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.subjects import detections_of
from rgacli.progress import Progress

if TYPE_CHECKING:
    from rgacli.engine.device import Device


def calibration(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    results: Sequence[str] | Mapping[str, Path] | None = None,
    annotations: Path | None = None,
    bins: str | None = None,
    max_dets: int | None = None,
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
    """Compare scores with the share of detections that is right, for every head and the ensemble, per bin.

    Drawn are reliability diagrams, and the bias: mean score minus the share that is right, at IoU 0.5. Only detections
    that are kept count: those the config's score_thr and NMS leave.

    Args:
        runs: A run's name or folder, or several to compare; the latest run without.
        results: COCO results files of any detectors in the runs' place, NAME=FILE each or name -> file. They are read
            without torch.
        annotations: The COCO annotations that `results` were made for.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        max_dets: Detections of an image that count, those of the highest scores; by default the benchmark's own number
            (COCO's 100, CrowdHuman's 500) or, where an image has more objects, the next hundred above the densest.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        out: Folder of the figure; by default RUN/figures/SPLIT, of several runs figures/SPLIT, of `results` figures/.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch, and of each head that is looked at.

    Returns:
        Rows are `rgacli.analysis.calibration.rows.Row`.

    Raises:
        UsageError, DataError: the runs, the results or the bins cannot be used, or a score is no probability.
    """
    require_style(style)
    found = detections_of(
        runs,
        results=results,
        annotations=annotations,
        bins=bins,
        which=which,
        checkpoint=checkpoint,
        config=config,
        data=data,
        split=split,
        max_dets=max_dets,
        device=device,
        progress=progress,
    )
    path = place(Calibration, out or found.folder)
    finding = collect(found.truth, found.results, found.bins, max_dets=max_dets, progress=progress)
    return publish(finding, path, style)
