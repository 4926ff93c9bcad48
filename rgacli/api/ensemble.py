"""Comparing ways of combining heads, detectors or results files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rgacli.analysis.ensembles import Row, collect, plot
from rgacli.analysis.figures import require_place
from rgacli.api.parameters import require_at_least
from rgacli.data.annotations import gt_counts
from rgacli.data.splits import SPLITS
from rgacli.ensembles.costs import Costs, Timing
from rgacli.ensembles.dispatch import Calibration
from rgacli.ensembles.ensemble import OF_LOGITS, Detected, Ensemble
from rgacli.ensembles.fusion import Results, oracle
from rgacli.ensembles.results_files import ResultsEnsemble
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.coco_metrics import Evaluation, evaluate
from rgacli.evaluation.gt_bins import GTBin, assign, parse_bins
from rgacli.evaluation.max_dets import MaxDets, max_dets_for, require_max_dets
from rgacli.evaluation.results import save_results
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS
from rgacli.progress import Progress
from rgacli.wording import param

if TYPE_CHECKING:
    from rgacli.engine.device import Device

_TIMED = 20


@dataclass(frozen=True)
class MethodRow(Row):
    """A way of combining.

    Attributes:
        name: One of `rgacli.method.ENSEMBLING_METHODS`.
        parameters: Number of parameters of all that runs; None where it is not known.
        added_seconds: What an image takes more than with a single member (median over images); None where not timed.
    """

    parameters: int | None
    added_seconds: float | None


@dataclass(frozen=True)
class MemberRow(MethodRow):
    """A head, a detector or a results file by itself.

    Attributes:
        gain, gain_low, gain_high: AP that the reference has more, and its 95 % interval; None of the reference.
    """

    gain: float | None
    gain_low: float | None
    gain_high: float | None


@dataclass(frozen=True)
class EnsembleResult:
    """Ways of combining, compared.

    Attributes:
        run: What was combined: the run's name, or the members' names, "a + b".
        split: What was evaluated; of results files, their annotation file.
        annotations: The annotation file.
        max_dets: How many detections of an image count, and why.
        reference: What the others' AP is compared with: the paper's ensemble or, where there is none, the first member.
        images: Bin label -> number of images.
        figure: The figure (PNG); the rows drawn are beside it, as CSV.
        detections: Folder of the methods' detections, in COCO's results format.
        members: Each head, detector or results file.
        methods: Each way of combining.
        timing: What a single member takes; None where nothing was timed.
        dispatch: What dispatch was calibrated to; None without it.
        oracle: Bin label -> the member that the oracle took, with "all" for images in no bin; None without it. It uses
            the annotations that it is measured by.
    """

    run: str
    split: str
    annotations: str
    max_dets: MaxDets
    reference: str
    images: Mapping[str, int]
    figure: Path
    detections: Path
    members: Sequence[MemberRow]
    methods: Sequence[MethodRow]
    timing: Timing | None
    dispatch: Calibration | None
    oracle: Mapping[str, str] | None


def ensemble(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    method: str | Sequence[str] | None = None,
    results: Sequence[str] | Mapping[str, Path] | None = None,
    annotations: Path | None = None,
    bins: str | None = None,
    max_dets: int | None = None,
    calibrate: Literal["train", "val", "test"] | None = None,
    which: str = "last",
    checkpoint: str | Path | Sequence[str | Path] | None = None,
    config: str | Path | Sequence[str | Path] | None = None,
    data: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    bootstrap: int = 200,
    timed: int = _TIMED,
    out: Path | None = None,
    device: Device = "auto",
    progress: Progress | None = None,
) -> EnsembleResult:
    """Measure which way of combining heads is best, on which images, and at what cost, and draw it.

    "ensemble" is the paper's method (Sec. 3.2): the average of logits before softmax, with the boxes of the head with
    the most positives. "average-probs" averages probabilities; "average-boxes" decoded boxes, too. "joint-nms" mixes
    detections, then NMS. "wbf" is weighted boxes fusion. "dispatch" weighs the heads by the number of objects that an
    image seems to have. "oracle" takes the head that is best for the true number, which it reads in the annotations.

    Of several runs, the first one's RPN feeds the R-CNN modules of all for the averages. The detections of each method
    are saved as COCO results beside the heads'.

    Args:
        runs: A run's name or folder, whose heads are combined, or several, combined as separate detectors; the latest
            run without.
        method: One or more methods; by default all that can be had.
        results: COCO results files of any framework in the runs' place, with scores in [0, 1]: NAME=FILE each, or
            name -> file. They are combined without mmdet.
        annotations: The COCO annotations that `results` were made for.
        bins: Bins of the number of objects, such as "1-3,8+"; by default "1-3,4-7,8+", on CrowdHuman
            "1-10,11-20,21-40,41+".
        max_dets: Detections of an image that count, those of the highest scores; by default the benchmark's own number
            (COCO's 100, CrowdHuman's 500) or, where an image has more objects, the next hundred above the densest.
            The detectors' own limits, and that of a combination, are raised to it.
        calibrate: The split that dispatch is calibrated on; by default "val", or "train" where that is evaluated and
            is not large.
        which: Of each run's checkpoints: "best" (by validation), "last", or an epoch ("12").
        checkpoint: Weights in a run's place, one or more.
        config: Each checkpoint's, or one of all, where they do not lie in their run or export.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        bootstrap: Bootstrap samples of images behind each interval.
        timed: Images to time each method on; 0: none.
        out: Folder of the figure, and of the detections that are made of several runs or results; by default
            RUN/figures/SPLIT, of several runs or results ensembles/A+B.
        device: "auto" takes CUDA where there is one; "mps" is untested.
        progress: Told of each batch and image.

    Raises:
        UsageError, DataError: what is named cannot be used, or not be combined in the way asked for.
    """
    runs, checkpoints, configs, methods = map(_several, (runs, checkpoint, config, method))
    own_bins = None if bins is None else parse_bins(bins)
    out = Path(out) if out else None
    _require_known("method", methods, ENSEMBLING_METHODS)
    _require_known("calibrate", _several(calibrate), SPLITS)
    require_at_least(2, bootstrap=bootstrap)
    require_at_least(0, timed=timed)
    require_max_dets(max_dets)
    if results:
        detecting = runs or checkpoints or configs or data or calibrate
        detecting = detecting or (which, split, device) != ("last", "test", "auto")
        if detecting or timed not in (0, _TIMED):
            *others, last = map(
                param, ("runs", "which", "checkpoint", "config", "data", "split", "calibrate", "timed", "device")
            )
            raise UsageError(f"{param('results')} stand alone: leave out {', '.join(others)} and {last}.")
    elif annotations:
        raise UsageError(
            f"{param('annotations')} goes with {param('results', 'NAME=FILE')}; a run's dataset is named by "
            f"{param('data')}."
        )
    elif calibrate and methods and "dispatch" not in methods:
        raise UsageError(f"{param('calibrate')} goes with {param('method', 'dispatch')}.")
    with nullcontext() if results else _running_on(device):
        if results:
            together: Ensemble = ResultsEnsemble(results, annotations, out)
        else:
            together = _find(runs, which, checkpoints, configs, data, split, calibrate, max_dets, out)
        counted = max_dets_for(together.annotations, max_dets)
        shown_bins = own_bins or benchmark_of(together.annotations).bins
        methods = together.choose(methods)
        figure = (out or together.figures) / "ensembles.png"
        require_place(figure)
        found = together.detect(methods, shown_bins, progress)
        evaluations, chosen = _measure(together, found, methods, shown_bins, counted.value, progress)
        costs = together.costs(methods, timed, progress)
    reference = ENSEMBLE if ENSEMBLE in evaluations else next(iter(found.members))
    rows = collect(evaluations, shown_bins, reference, bootstrap=bootstrap, progress=progress)
    images = {label: len(ids) for label, ids in assign(gt_counts(together.annotations), shown_bins).items()}
    plot(rows, reference, images, figure)
    tell(f"figure: {figure}; data: {figure.with_suffix('.csv')}; detections in {together.folder}")
    return EnsembleResult(
        run=together.name,
        split=together.split,
        annotations=together.ann_file,
        max_dets=counted,
        reference=reference,
        images=images,
        figure=figure,
        detections=together.folder,
        members=[_member(row, costs) for row in rows if row.name in found.members],
        methods=[_method(row, costs) for row in rows if row.name not in found.members],
        timing=costs.timing,
        dispatch=found.calibration,
        oracle=chosen,
    )


def _several(value: Any) -> list:
    """Return one value or several as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, (str, Path)) else list(value)


def _require_known(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise UsageError(f"{param(name, value)}: it can be one of {', '.join(known)}.")


def _running_on(device: Device) -> AbstractContextManager[None]:
    from rgacli.engine.device import on_device  # here, since results files are combined without mmdet

    return on_device(device)


def _find(
    runs: Sequence[str | Path],
    which: str,
    checkpoints: Sequence[str | Path],
    configs: Sequence[str | Path],
    data: Path | None,
    split: str,
    calibrate: str | None,
    max_dets: int | None,
    out: Path | None,
) -> Ensemble:
    """Return the heads of one run or checkpoint, or several as separate detectors.

    Raises:
        UsageError: what is named cannot be used or combined.
    """
    from rgacli.ensembles.detectors import DetectorsEnsemble
    from rgacli.ensembles.heads import HeadsEnsemble
    from rgacli.evaluation.split_detections import SplitDetections
    from rgacli.trained import find_trained

    def on(split: str, named: tuple) -> SplitDetections:
        return SplitDetections.of(find_trained(*named, which=which), split, data, max_dets=max_dets)

    if checkpoints and runs:
        raise UsageError(f"give {param('runs')} or {param('checkpoint')}, not both.")
    if configs and not checkpoints:
        raise UsageError(f"{param('config')} says what a {param('checkpoint')} was trained by: give that as well.")
    if len(configs) not in (0, 1, len(checkpoints)):
        raise UsageError(
            f"{param('config')}: {len(configs)} for {len(checkpoints)} {param('checkpoint')}; give one each, or one "
            "of all."
        )
    if len(configs) < len(checkpoints):
        configs = (configs or [None]) * len(checkpoints)  # one of all; or none, where each lies in its run
    named = [(None, *pair) for pair in zip(checkpoints, configs, strict=True)]
    named = named or [(run, None, None) for run in runs or [None]]
    if len(named) > 1:
        if calibrate:
            raise UsageError(
                f"{param('calibrate')} goes with {param('method', 'dispatch')}, which weighs the heads of one run."
            )
        return DetectorsEnsemble([on(split, one) for one in named], out)
    if calibrate == split:
        raise UsageError(f"{param('calibrate', split)} is the split that is evaluated: name another.")
    return HeadsEnsemble(on(split, named[0]), lambda other: on(other, named[0]), calibrate)


def _measure(
    together: Ensemble,
    found: Detected,
    methods: Sequence[str],
    bins: Sequence[GTBin],
    max_dets: int,
    progress: Progress | None,
) -> tuple[dict[str, Evaluation], dict[str, str] | None]:
    """Fuse what needs no forward pass, save it, and evaluate all.

    Returns:
        Each member's evaluation, and each method's in the order of ENSEMBLING_METHODS; and what the oracle chose.
    """
    measure = partial(evaluate, together.annotations, max_dets=max_dets)
    evaluations = {name: measure(each) for name, each in found.members.items()}

    def take(name: str, detections: Results) -> None:
        evaluations[name] = measure(detections)
        if name not in OF_LOGITS:  # a forward pass left those on disk
            save_results(together.folder / f"{name}.json", detections)

    for name, detections in found.methods.items():
        take(name, detections)
    for name, fuse in together.fusions(methods).items():  # one after the other: of large results memory is short
        take(name, fuse(list(found.members.values()), progress=progress))
    chosen = None
    if "oracle" in methods:
        detections, chosen = oracle(found.members, {name: evaluations[name] for name in found.members}, bins)
        take("oracle", detections)
    order = [*found.members, *(name for name in ENSEMBLING_METHODS if name in evaluations)]
    return {name: evaluations[name] for name in order}, chosen


def _method(row: Row, costs: Costs) -> MethodRow:
    return MethodRow(
        **vars(row), parameters=costs.parameters.get(row.name), added_seconds=costs.added_seconds.get(row.name)
    )


def _member(row: Row, costs: Costs) -> MemberRow:
    gain = gain_low = gain_high = None
    if row.difference is not None:
        gain_low, gain, gain_high = (0.0 - x for x in (row.difference_high, row.difference, row.difference_low))
    return MemberRow(**vars(_method(row, costs)), gain=gain, gain_low=gain_low, gain_high=gain_high)
