"""AP per ground-truth-count bin, of the heads of runs or of any detectors' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rgacli.analysis.finding import Analysis, place, publish
from rgacli.analysis.gt_bins.compared import by_training, training_of
from rgacli.analysis.gt_bins.finding import GtBins, collect
from rgacli.analysis.style import StyleName, require_style
from rgacli.api.parameters import require_at_least
from rgacli.api.subjects import detections_of
from rgacli.progress import Progress

if TYPE_CHECKING:
    from rgacli.engine.device import Device


def gt_bins(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    results: Sequence[str] | Mapping[str, Path] | None = None,
    annotations: Path | None = None,
    bins: str | None = None,
    baseline: str | None = None,
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
    """Measure AP per ground-truth-count bin, for every head and the ensemble, and draw it (paper, Fig. 2).

    Images are grouped by their number of non-crowd objects; those with none form no bin. Detections that `evaluate`
    left are used where they are of the same checkpoint. AP is drawn over the ratio in training: the heads of a run are
    a line, and so are runs of a single head that differ in their ratio alone.

    Args:
        runs: A run's name or folder, or several to compare; the latest run without.
        results: COCO results files of any detectors in the runs' place, NAME=FILE each or name -> file. They are read
            without torch.
        annotations: The COCO annotations that `results` were made for.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        baseline: Detections that all others are compared with on the same images: a head's name ("1:3", of several runs
            "RUN 1:3"), a detector's of `results`, or a run's, which means its ensemble or only head. By default the
            ensemble of the first run or, where it has none, what is named first.
        max_dets: Detections of an image that count, those of the highest scores; by default the benchmark's own number
            (COCO's 100, CrowdHuman's 500) or, where an image has more objects, the next hundred above the densest.
        which: Of the run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place.
        config: The checkpoint's, where it does not lie in its run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        bootstrap: Bootstrap samples behind the 95 % intervals of AP and of differences; 0: none.
        out: Folder of the figure; by default RUN/figures/SPLIT, of several runs figures/SPLIT, of `results` figures/.
        style: What the figure is to be looked at on: "screen", "paper", "slide", "dark".
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch, and of each head that is compared.

    Returns:
        Rows are `rgacli.analysis.gt_bins.rows.Row`.

    Raises:
        UsageError, DataError: the runs, the results, the bins or the baseline cannot be used.
    """
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
    path = place(GtBins, out or found.folder)
    finding = collect(
        found.truth,
        found.results,
        found.bins,
        compared=by_training({name: training_of(one.cfg) for name, one in found.detectors.items()}) or None,
        baseline=baseline,
        bootstrap=bootstrap,
        max_dets=max_dets,
        progress=progress,
    )
    return publish(finding, path, style)
