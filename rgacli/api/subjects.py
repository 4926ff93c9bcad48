"""What analyses look at: detectors on a split, their detections or those of results files, and runs' logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.gt_bins import GTBin, parse_bins
from rgacli.evaluation.max_dets import require_max_dets
from rgacli.evaluation.results import LazyResults, load_named_results, load_results
from rgacli.progress import Progress
from rgacli.runs import place_for
from rgacli.wording import param

if TYPE_CHECKING:
    from mmengine.config import Config

    from rgacli.analysis.logged import TrainingLog
    from rgacli.evaluation.split_detections import SplitDetections
    from rgacli.runs import Run

Names = str | Path | Sequence[str | Path] | None
"""A run's name or folder, or several; None is the latest run."""


@dataclass(frozen=True)
class Detected:
    """Detections to look at.

    Attributes:
        truth: The ground truth, a COCO dict.
        results: Name -> detections; of several runs' heads, "RUN HEAD". They are read whenever they are asked for: one
            at a time, detections of any number of detectors fit in memory.
        bins: Those that were asked for, or the benchmark's own.
        folder: Where figures go.
        detectors: Name -> detector, where they are of runs, for what else is to be asked of them.
    """

    truth: dict[str, Any]
    results: LazyResults
    bins: Sequence[GTBin]
    folder: Path
    detectors: Mapping[str, SplitDetections]


@dataclass(frozen=True)
class LoggedRun:
    """What a run's training logged.

    Attributes:
        name: What tells it apart from the others.
        run: Its directory.
        cfg: Its config.
        lines: Of its metrics.jsonl, as `engine.metrics_log.read_metrics` returns them; at least one.
    """

    name: str
    run: Run
    cfg: Config
    lines: Sequence[Mapping[str, Any]]


def as_list(runs: Names) -> list[str | Path]:
    """Return the runs that are named; none is the latest."""
    return [runs] if isinstance(runs, (str, Path)) else list(runs or ())


def detectors_on_split(
    runs: Names,
    *,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    data: Path | None = None,
    split: str = "test",
    max_dets: int | None = None,
) -> dict[str, SplitDetections]:
    """Return name -> detector on a split, of each run.

    To be called on the device that is asked for (`on_device`), as what is done with them.

    Args:
        runs: Several are on the same annotations.
        which, checkpoint, config: As `find_trained` takes them.
        data, split, max_dets: As `SplitDetections.of` takes them.

    Raises:
        UsageError, DataError: a detector or the split cannot be used, a run stands twice, or they are evaluated on
            different annotations.
    """
    # Here, since results are to be read without torch.
    from rgacli.evaluation.split_detections import SplitDetections, distinct_names, require_same_annotations
    from rgacli.trained import find_trained

    if checkpoint and as_list(runs):
        raise UsageError(f"give {param('runs')} or {param('checkpoint')}, not both.")
    trained = [find_trained(run, checkpoint, config, which=which) for run in as_list(runs) or [None]]
    detectors = [SplitDetections.of(each, split, data, max_dets=max_dets) for each in trained]
    require_same_annotations(detectors)
    return dict(zip(distinct_names(detectors), detectors, strict=True))


def figures_folder(detectors: Mapping[str, SplitDetections]) -> Path:
    """Return where figures of these detectors go: into the run, or for several beside all runs."""
    first = next(iter(detectors.values()))
    return first.figures if len(detectors) == 1 else Path("figures") / first.folder.name


def detections_of(
    runs: Names,
    *,
    results: Sequence[str] | Mapping[str, Path] | None = None,
    annotations: Path | None = None,
    bins: str | None = None,
    which: str = "last",
    checkpoint: Path | None = None,
    config: str | None = None,
    data: Path | None = None,
    split: str = "test",
    max_dets: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Detected:
    """Return the detections of runs' heads and ensembles, made unless they are there, or those of results files.

    Args:
        runs: The latest without.
        results: COCO results files in the runs' place, NAME=FILE each or name -> file, read without torch.
        annotations: The COCO annotations that `results` were made for.
        bins: As `parse_bins` reads them; None for the benchmark's own.
        which, checkpoint, config, data, split, max_dets: As for `detectors_on_split`.
        device: As for `on_device`.
        progress: Told of each batch.

    Raises:
        UsageError, DataError: they cannot be used, or parameters contradict each other.
    """
    require_max_dets(max_dets)
    asked = None if bins is None else parse_bins(bins)
    if results:
        if as_list(runs) or which != "last" or checkpoint or config or data or split != "test" or device != "auto":
            *others, last = map(param, ("runs", "which", "checkpoint", "config", "data", "split", "device"))
            raise UsageError(f"{param('results')} stand alone: leave out {', '.join(others)} and {last}.")
        truth, found = load_named_results(results, annotations)
        return Detected(truth, found, asked or benchmark_of(truth).bins, Path("figures"), {})
    if annotations:
        raise UsageError(
            f"{param('annotations')} goes with {param('results', 'NAME=FILE')}; a run's dataset is named by "
            f"{param('data')}."
        )
    from rgacli.config.recipe import variant_names
    from rgacli.engine.device import on_device

    place = dict(which=which, checkpoint=checkpoint, config=config, data=data, split=split, max_dets=max_dets)
    with on_device(device):
        detectors = detectors_on_split(runs, **place)
        readers = {}
        for name, detector in detectors.items():
            detector.load(progress=progress)  # makes what is not there
            for variant, head in variant_names(detector.cfg).items():
                file = detector.folder / f"{variant}.json"
                full = f"{name} {head}" if len(detectors) > 1 else head
                readers[full] = partial(load_results, file, detector.annotations)
    truth = next(iter(detectors.values())).annotations
    chosen = asked or benchmark_of(truth).bins
    return Detected(truth, LazyResults(readers), chosen, figures_folder(detectors), detectors)


def logs_of(runs: Names) -> list[LoggedRun]:
    """Return what the trainings of runs logged.

    Raises:
        UsageError: there is no such run, one stands twice, or nothing was logged yet.
    """
    from rgacli import runs as folders
    from rgacli.config.files import load_config
    from rgacli.engine.metrics_log import read_metrics

    found = [folders.find_run(None if run is None else str(run)) for run in as_list(runs) or [None]]
    places = [run.path.resolve() for run in found]
    logs = []
    for run, place in zip(found, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"run {run.name} stands twice: name each run once.")
        lines = read_metrics(run.metrics)
        if not lines:
            raise UsageError(f"run {run.path} has no {run.metrics.name} yet: nothing was logged.")
        alone = [other.name for other in found].count(run.name) == 1
        logs.append(LoggedRun(run.name if alone else str(run.path), run, load_config(str(run.config)), lines))
    return logs


def trainings_of(runs: Names) -> tuple[list[TrainingLog], Path]:
    """Return what the trainings of runs logged of their heads, and the folder of figures of it.

    Raises:
        UsageError: as `logs_of`.
    """
    from rgacli.analysis.logged import read

    logs = logs_of(runs)
    return [read(log.name, log.cfg, log.lines) for log in logs], logged_figures(logs)


def logged_figures(logs: Sequence[LoggedRun]) -> Path:
    """Return where figures of what was logged go: into the run, or for several beside all runs."""
    return place_for(logs[0].run.path) / "figures" if len(logs) == 1 else Path("figures")
