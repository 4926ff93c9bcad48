"""How well detections of runs' heads, or of any detectors, count objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rgacli.analysis.count_error.finding import CountError, collect
from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.parameters import require_at_least
from rgacli.api.subjects import detections_of
from rgacli.evaluation.results import require_score
from rgacli.progress import Progress

if TYPE_CHECKING:
    from rgacli.engine.device import Device


def count_error(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    results: Sequence[str] | Mapping[str, Path] | None = None,
    annotations: Path | None = None,
    bins: str | None = None,
    score: float = 0.3,
    max_dets: int | None = None,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    data: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    bootstrap: int = 200,
    out: Path | None = None,
    style: StyleName = "screen",
    device: Device = "auto",
    progress: Progress | None = None,
) -> Analysis:
    """Count detections against objects, for every head and the ensemble, and find the score that is right, per bin.

    From the right score on there are as many detections as objects in a bin's images. All classes are counted together.

    Args:
        runs: A run's name or folder, or several to compare; the latest run without.
        results: COCO results files of any detectors in the runs' place, NAME=FILE each or name -> file. They are read
            without torch.
        annotations: The COCO annotations that `results` were made for.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        score: The least of the detections that are counted.
        max_dets: Detections of an image that can be counted, those of the highest scores, to which the detector's own
            limits are raised; by default all that the detector finds, as `evaluate` has it look.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        bootstrap: Bootstrap samples behind the 95 % intervals of right scores; 0: none.
        out: Folder of the figure; by default RUN/figures/SPLIT, of several runs figures/SPLIT, of `results` figures/.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch, and of each head that is looked at.

    Returns:
        Rows are `rgacli.analysis.count_error.rows.Row`.

    Raises:
        UsageError, DataError: the runs, the results or the bins cannot be used, or a score is no probability.
    """
    require_score(score)
    require_at_least(0, bootstrap=bootstrap)
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
    path = place(CountError, out or found.folder)
    finding = collect(
        found.truth,
        found.results,
        found.bins,
        score=score,
        max_dets=max_dets,
        bootstrap=bootstrap,
        progress=progress,
    )
    return publish(finding, path, style)
