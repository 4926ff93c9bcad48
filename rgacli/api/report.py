"""The report of a run: every analysis, and the images behind the numbers, on one page."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from rgacli.analysis.figures import require_place
from rgacli.analysis.finding import Analysis
from rgacli.api.accuracy import accuracy
from rgacli.api.calibration import calibration
from rgacli.api.count_error import count_error
from rgacli.api.error_types import error_types
from rgacli.api.gradients import gradients
from rgacli.api.gt_bins import gt_bins
from rgacli.api.positives import positives
from rgacli.api.proposals import proposals
from rgacli.api.scores import scores
from rgacli.api.subjects import Detected, as_list, detections_of
from rgacli.config.dataset import image_folder
from rgacli.engine.device import Device
from rgacli.ensembles.fusion import oracle
from rgacli.errors import UsageError
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import parse_bins
from rgacli.evaluation.max_dets import MaxDets
from rgacli.files import write_text
from rgacli.messages import tell
from rgacli.method import ENSEMBLE
from rgacli.progress import Progress
from rgacli.reporting import gallery
from rgacli.reporting.answers import Evidence, answers
from rgacli.reporting.facts import facts_of
from rgacli.reporting.page import Page, Section, render
from rgacli.wording import param

IMAGES = 60


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        path: The page (HTML).
        answers: The main results, a sentence each.
        analyses: Name -> what was found, with its files.
        lacking: Title of an analysis that could not be made -> why.
        images: Number of images on the page.
    """

    path: Path
    answers: Sequence[str]
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

    The page is one file that needs no network. Of several runs the first is what it is about and the second what it is
    compared with; all are overlaid. A number of errors (bin, head, kind of error) leads to its images, worst first, and
    annotations that the detector contradicts are listed. What cannot be had says why.

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
    for name, value, least in (("bootstrap", bootstrap, 2), ("images", images, 0)):
        if value < least:
            raise UsageError(f"{param(name, value)}: it must be at least {least}.")
    place = dict(which=which, data=data, split=split)
    runs = as_list(runs) or [None]
    own = dict(device=device, progress=progress)
    found = detections_of(runs if runs != [None] else None, max_dets=max_dets, **place, **own)
    path = Path(out or found.folder) / "report.html"
    require_place(path)

    names = list(found.detectors)
    named = [str(detector.home) for detector in found.detectors.values()]  # the latest run stays the same meanwhile
    baseline = names[1] if len(names) > 1 else None
    on_split = dict(bins=bins, out=out, **place, **own)
    first = gt_bins(named, max_dets=max_dets, bootstrap=bootstrap, baseline=baseline, **on_split)
    analyses, lacking = {"AP by number of objects": first}, {}
    further: dict[str, Callable[[], Analysis]] = {
        "Errors by kind": lambda: error_types(named, max_dets=max_dets, **on_split),
        "Calibration": lambda: calibration(named, max_dets=max_dets, **on_split),
        "Counting": lambda: count_error(named, max_dets=max_dets, **on_split),
        "Scores of the heads": lambda: scores(named, **on_split),
        "Positive proposals": lambda: proposals(named, **on_split),
        "Positives in training": lambda: positives(named, out=out),
        "Accuracy in training": lambda: accuracy(named, out=out),
        "Gradients": lambda: gradients(named, out=out),
    }
    for title, analyse in further.items():
        try:
            analyses[title] = analyse()
        except UsageError as error:
            lacking[title] = str(error)

    max_counted = first.finding.max_dets
    evidence = _evidence(found, first, analyses.get("Accuracy in training"), bootstrap)
    sections = [
        Section(title, analyses[title].finding if title in analyses else None, lacking.get(title, ""))
        for title in ("AP by number of objects", *further)
    ]
    subject = names[0]
    page = Page(
        title=" against ".join(names),
        subtitle=f"{split} split, {len(found.truth['images'])} images, {date.today().isoformat()}",
        answers=answers(evidence),
        about=facts_of(found.detectors, max_counted),
        sections=sections,
        gallery=_gallery(found, subject, evidence, analyses.get("Scores of the heads"), images, max_counted),
    )
    write_text(path, render(page))
    tell(f"report: {path}")
    if open:
        webbrowser.open(path.resolve().as_uri())
    by_name = {analysis.name: analysis for analysis in analyses.values()}
    return Report(path, page.answers, by_name, lacking, len(page.gallery.images) if page.gallery else 0)


def _own_results(found: Detected, run: str) -> dict[str, str]:
    """Return head -> name of its detections, of one run."""
    prefix = f"{run} " if len(found.detectors) > 1 else ""
    return {name.removeprefix(prefix): name for name in found.results if name.startswith(prefix)}
