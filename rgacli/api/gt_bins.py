"""AP per ground-truth-count bin, of the heads of runs or of any detectors' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rgacli.analysis.figures import require_place
from rgacli.analysis.gt_bins import Row, collect, plot
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.gt_bins import bins_text, parse_bins
from rgacli.evaluation.max_dets import MaxDets, max_dets_for, require_max_dets
from rgacli.evaluation.results import load_named_results
from rgacli.messages import tell
from rgacli.progress import Progress
from rgacli.wording import param

if TYPE_CHECKING:
    from rgacli.engine.device import Device


@dataclass(frozen=True)
class GtBinsResult:
    """AP by the number of objects in the image.

    Attributes:
        bins: As `gt_bins` takes them.
        max_dets: How many detections of an image count, and why.
        figure: The figure (PNG); the rows drawn are beside it, as CSV.
        rows: Per head or detector one for all images, then one per bin.
    """

    bins: str
    max_dets: MaxDets
    figure: Path
    rows: Sequence[Row]


def gt_bins(
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
    bootstrap: int = 200,
    out: Path | None = None,
    device: Device = "auto",
    progress: Progress | None = None,
) -> GtBinsResult:
    """Measure AP per ground-truth-count bin, for every head and the ensemble, and draw it (paper, Fig. 2).

    Images are grouped by their number of non-crowd objects; those with none form no bin. Detections that `evaluate`
    left are used where they are of the same checkpoint.

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
        bootstrap: Bootstrap samples behind the 95 % intervals of AP; 0: none.
        out: Folder of the figure; by default RUN/figures/SPLIT, of several runs figures/SPLIT, of `results` figures/.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch, and of each head that is compared.

    Raises:
        UsageError, DataError: the runs, the results or the bins cannot be used.
    """
    own_bins = None if bins is None else parse_bins(bins)
    if bootstrap < 0:
        raise UsageError(f"{param('bootstrap', bootstrap)}: it must be at least 0.")
    require_max_dets(max_dets)
    runs = [runs] if isinstance(runs, (str, Path)) else list(runs or ())
    if results:
        if runs or which != "last" or checkpoint or config or data or split != "test" or device != "auto":
            *others, last = map(param, ("runs", "which", "checkpoint", "config", "data", "split", "device"))
            raise UsageError(f"{param('results')} stand alone: leave out {', '.join(others)} and {last}.")
        truth, found = load_named_results(results, annotations)
        folder = Path("figures")
    elif annotations:
        raise UsageError(
            f"{param('annotations')} goes with {param('results', 'NAME=FILE')}; a run's dataset is named by "
            f"{param('data')}."
        )
    elif checkpoint and runs:
        raise UsageError(f"give {param('runs')} or {param('checkpoint')}, not both.")
    else:
        truth, found, folder = _detect(
            runs or [None], which, checkpoint, config, data, split, max_dets, device, progress
        )
    counted = max_dets_for(truth, max_dets)
    chosen = own_bins or benchmark_of(truth).bins
    figure = Path(out or folder) / "gt_bins.png"
    require_place(figure)
    rows = collect(truth, found, chosen, bootstrap=bootstrap, max_dets=counted.value, progress=progress)
    plot(rows, figure)
    tell(f"figure: {figure}; data: {figure.with_suffix('.csv')}")
    return GtBinsResult(bins_text(chosen), counted, figure, rows)


def _detect(
    runs: Sequence[str | Path | None],
    which: str,
    checkpoint: Path | None,
    config: str | None,
    data: Path | None,
    split: str,
    max_dets: int | None,
    device: Device,
    progress: Progress | None,
) -> tuple[dict, dict[str, list[dict]], Path]:
    """Return the ground truth, name -> detections of each run's variants, and the figure's folder.

    Raises:
        UsageError: a run stands twice, or the runs are evaluated on different annotations.
    """
    # Here, since results are to be read without torch.
    from rgacli.config.recipe import variant_names
    from rgacli.engine.device import on_device
    from rgacli.evaluation.split_detections import SplitDetections, distinct_names, require_same_annotations
    from rgacli.trained import find_trained

    with on_device(device):
        trained = [find_trained(run, checkpoint, config, which=which) for run in runs]
        detectors = [SplitDetections.of(each, split, data, max_dets=max_dets) for each in trained]
        require_same_annotations(detectors)
        prefixes = [f"{name} " for name in distinct_names(detectors)] if len(detectors) > 1 else [""]
        found = {}
        for detector, prefix in zip(detectors, prefixes, strict=True):
            names = variant_names(detector.cfg)
            variants = detector.load(progress=progress)
            found |= {prefix + names[variant]: detections for variant, detections in variants.items()}
    first = detectors[0]
    folder = first.figures if len(detectors) == 1 else Path("figures") / first.folder.name
    return first.annotations, found, folder
