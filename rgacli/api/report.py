"""The report of a run: every analysis, and the images behind the numbers, on one page."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from rgacli.analysis.at_a_glance.finding import AtAGlance
from rgacli.analysis.at_a_glance.finding import collect as at_a_glance
from rgacli.analysis.figures import require_place
from rgacli.analysis.finding import Analysis, publish
from rgacli.analysis.finding import place as place_of
from rgacli.analysis.gt_bins.finding import GtBins
from rgacli.api.accuracy import accuracy
from rgacli.api.calibration import calibration
from rgacli.api.count_error import count_error
from rgacli.api.error_types import error_types
from rgacli.api.gradients import gradients
from rgacli.api.gt_bins import gt_bins
from rgacli.api.parameters import require_at_least
from rgacli.api.positives import positives
from rgacli.api.proposals import proposals
from rgacli.api.scores import scores
from rgacli.api.subjects import Detected, detections_of
from rgacli.config.dataset import image_folder
from rgacli.config.recipe import parallel_ratios
from rgacli.engine.device import Device
from rgacli.ensembles.fusion import oracle
from rgacli.errors import RgacliError, explain
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.files import write_text
from rgacli.messages import tell
from rgacli.method import ENSEMBLE
from rgacli.progress import Progress
from rgacli.reporting import gallery
from rgacli.reporting.answers import Evidence, answers
from rgacli.reporting.facts import facts_of
from rgacli.reporting.page import Page, Section, render
from rgacli.reproduction.folder import sweep_of
from rgacli.reproduction.tables import read_tables, shown

IMAGES = 60

_BINNED, _SCORED = "AP by number of objects", "Scores of the heads"
_POSITIVES, _ACCURACY = "Positives in training", "Accuracy in training"
_TITLES = (
    *(_BINNED, "Kinds of errors", "Calibration", "Counting objects", _SCORED, "Positive proposals"),
    *(_POSITIVES, _ACCURACY, "Gradients"),
)


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        path: The page (HTML).
        answers: The main results, a sentence each.
        at_a_glance: Up to three of them in one picture (its finding's `sentences`), of the first run; None of one that
            has no parallel heads.
        analyses: Name -> what was found, with its files.
        lacking: Title of an analysis that could not be made -> why.
        images: Number of images on the page.
    """

    path: Path
    answers: Sequence[str]
    at_a_glance: Analysis | None
    analyses: Mapping[str, Analysis]
    lacking: Mapping[str, str]
    images: int


def report(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    bins: str | None = None,
    max_dets: int | None = None,
    which: str = "last",
    data: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    bootstrap: int = 200,
    images: int = IMAGES,
    out: Path | None = None,
    open: bool = False,
    device: Device = "auto",
    progress: Progress | None = None,
) -> Report:
    """Put all analyses of a run on one page: the answer in five sentences, figures, tables, and the images behind them.

    The page is one file that needs no network. Above all stands the run at a glance: a picture of up to three sentences
    of what is beyond its 95 % interval, and what is not. Of several runs the first is what it is about and the second
    what it is compared with; all are overlaid. A number of errors (bin, head, kind of error) leads to its images, worst
    first, and annotations that the detector contradicts are listed. What cannot be had says why. Of a run that belongs
    to a sweep (`reproduce`), the sweep's tables and verdicts follow.

    Args:
        runs: A run's name or folder, and others to compare it with; the latest run without.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        max_dets: Detections of an image that count; see `evaluate`.
        which: Of each run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        bootstrap: Bootstrap samples behind the 95 % intervals, at least 2.
        images: Images on the page at most, each about 30 kB; 0: none.
        out: Folder of the page and the figures; by default RUN/figures/SPLIT, of several runs figures/SPLIT.
        open: Show the page in the browser.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch and step.

    Raises:
        UsageError, DataError: a run, the split or the bins cannot be used.
    """
    require_at_least(2, bootstrap=bootstrap)
    require_at_least(0, images=images)
    place = dict(which=which, data=data, split=split)
    own = dict(device=device, progress=progress)
    found = detections_of(runs, bins=bins, max_dets=max_dets, **place, **own)
    path = Path(out or found.folder) / "report.html"
    require_place(path)
    picture = place_of(AtAGlance, path.parent)
    analyses, lacking = _analyses(found, bins, max_dets, bootstrap, out, place | own)

    names = list(found.detectors)
    read = found.detectors[names[0]].split
    binned = analyses[_BINNED].finding
    results = _results_of(found, names[0])
    evidence = _evidence(found, names, results, binned, bootstrap, analyses)
    glance = _at_a_glance(names[0], read, results, evidence, analyses, picture)
    chosen = None
    if images:
        scored = analyses.get(_SCORED)
        detector = found.detectors[names[0]]
        chosen = gallery.collect(
            found.truth,
            results,
            Path(image_folder(detector.dataset)),
            evidence.bins,
            _disagreement(detector, scored),
            most=images,
            max_dets=binned.max_dets.value,
        )
    page = Page(
        title=" against ".join([names[0], " and ".join(names[1:])] if names[1:] else names),
        subtitle=f"{read} split, {len(found.truth['images'])} images, {date.today().isoformat()}",
        answers=answers(evidence),
        about=facts_of(found.detectors, binned.max_dets),
        sections=[
            *(Section(title, analyses.get(title), lacking.get(title, "")) for title in _TITLES),
            *_over_seeds(found.detectors[names[0]].home),
        ],
        gallery=chosen,
        at_a_glance=glance,
    )
    write_text(path, render(page))
    tell(f"report: {path}")
    if open and not webbrowser.open(path.resolve().as_uri()):
        tell("no browser was found to show the report in.")
    by_name = {analysis.name: analysis for analysis in (*analyses.values(), *([glance] if glance else []))}
    return Report(path, page.answers, glance, by_name, lacking, len(chosen.images) if chosen else 0)


def _analyses(
    found: Detected, bins: str | None, max_dets: int | None, bootstrap: int, out: Path | None, place: dict[str, Any]
) -> tuple[dict[str, Analysis], dict[str, str]]:
    """Return title -> analysis, and title -> why it could not be made."""
    runs = [str(detector.home) for detector in found.detectors.values()]  # the latest run is to stay the same
    names = list(found.detectors)
    # A single head has no other to be compared with, and a training may have logged no gradients.
    parallel = [str(one.home) for one in found.detectors.values() if len(parallel_ratios(one.cfg)) > 1]
    split = dict(bins=bins, out=out, **place)
    making: dict[str, Callable[[], Analysis]] = {
        _BINNED: lambda: gt_bins(
            runs, baseline=names[1] if len(names) > 1 else None, max_dets=max_dets, bootstrap=bootstrap, **split
        ),
        "Kinds of errors": lambda: error_types(runs, max_dets=max_dets, **split),
        "Calibration": lambda: calibration(runs, max_dets=max_dets, **split),
        "Counting objects": lambda: count_error(runs, max_dets=max_dets, **split),
        _SCORED: lambda: scores(parallel or runs, **split),
        "Positive proposals": lambda: proposals(runs, **split),
        _POSITIVES: lambda: positives(runs, out=out),
        _ACCURACY: lambda: accuracy(runs, out=out),
        "Gradients": lambda: gradients(runs[:1], out=out),
    }
    analyses, lacking = {_BINNED: making.pop(_BINNED)()}, {}
    for title, make in making.items():
        try:
            analyses[title] = make()
        except (RgacliError, OSError) as error:  # an image that is gone does not cost the other analyses
            lacking[title] = str(explain(error))
    return analyses, lacking


def _over_seeds(run: Path) -> list[Section]:
    """Return what a sweep has found that a run belongs to, a section for each table; nothing of a run by itself."""
    sweep = sweep_of(run)
    tables = read_tables(sweep.tables) if sweep else []
    return [Section(f"Over seeds: {table.title}", tables=shown(table)) for table in tables]


def _at_a_glance(
    run: str,
    split: str,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    evidence: Evidence,
    analyses: Mapping[str, Analysis],
    path: Path,
) -> Analysis | None:
    """Return the picture of one run; None where there is nothing to show of it."""
    positives = analyses.get(_POSITIVES)
    finding = at_a_glance(
        positives.finding if positives else None,
        results,
        evidence.variants,
        run=run,
        split=split,
        samples=evidence.samples,
        baseline=evidence.baseline,
    )
    return publish(finding, path) if finding.rows else None


def _disagreement(detector: SplitDetections, scored: Analysis | None) -> Mapping[int, float]:
    """Return image id -> how far a detector's heads differ; nothing of a single head."""
    if scored is None or len(parallel_ratios(detector.cfg)) < 2:
        return {}
    return next(iter(scored.finding.disagreement.values()))  # the first of those with several heads


def _evidence(
    found: Detected,
    names: Sequence[str],
    results: Mapping[str, Any],
    binned: GtBins,
    samples: int,
    analyses: Mapping[str, Analysis],
) -> Evidence:
    counted = binned.max_dets.value
    variants = {head: evaluate(found.truth, own, max_dets=counted) for head, own in results.items()}
    heads = {head: results[head] for head in variants if head != ENSEMBLE}
    perfect = None
    if len(heads) > 1:
        dispatched, _ = oracle(heads, {head: variants[head] for head in heads}, found.bins)
        perfect = evaluate(found.truth, dispatched, max_dets=counted)
    other = None
    if len(names) > 1:
        *_, whole = _results_of(found, names[1]).values()
        other = (names[1], evaluate(found.truth, whole, max_dets=counted))
    trained = analyses.get(_ACCURACY)
    return Evidence(variants, found.bins, perfect, other, trained.rows if trained else (), samples)


def _results_of(found: Detected, run: str) -> dict[str, list[dict]]:
    """Return head -> detections of one run, the ensemble's last."""
    prefix = f"{run} " if len(found.detectors) > 1 else ""
    return {name.removeprefix(prefix): found.results[name] for name in found.results if name.startswith(prefix)}
