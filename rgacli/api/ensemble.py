"""Comparing the ways of combining heads or detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.analysis.ensembles import Row, collect, plot
from rgacli.analysis.figures import require_place
from rgacli.data.annotations import gt_counts
from rgacli.engine.device import Device, on_device
from rgacli.ensembles.detectors import DetectorsEnsemble
from rgacli.ensembles.ensemble import Costs, Ensemble
from rgacli.ensembles.heads import HeadsEnsemble
from rgacli.ensembles.results_files import ResultsEnsemble
from rgacli.errors import UsageError
from rgacli.evaluation.benchmark import benchmark_of
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import GTBin, assign, parse_bins
from rgacli.evaluation.results import save_results
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.messages import tell
from rgacli.method import ENSEMBLE
from rgacli.progress import Progress
from rgacli.trained import find_trained
from rgacli.wording import param

TIMED = 20


@dataclass(frozen=True)
class DispatchCalibration:
    """How dispatch was calibrated.

    Attributes:
        calibrated_on: The annotations.
        threshold: Detections of at least this score count as objects.
        count_error: Mean absolute error of that count, in objects.
        variants: Bin -> the variant that images take whose count lies in it.
    """

    calibrated_on: str
    threshold: float
    count_error: float
    variants: Mapping[str, str]


@dataclass(frozen=True)
class EnsembleResult:
    """The ways of combining, side by side.

    Attributes:
        run: The run's name, or the names of all that is combined.
        split: As it was asked for, or the annotation file that `results` were made for.
        annotations: The annotation file.
        reference: Name of the row that the others are compared with: the paper's ensemble where it can be had, else
            the first member.
        images: Bin -> number of its images.
        figure: The figure; its CSV lies beside it.
        detections: Folder of the methods' detections in COCO's results format.
        members: The rows of the heads or detectors, in their order.
        methods: The rows of the ways of combining.
        costs: Parameters and time, by name of a row.
        dispatch: How it was calibrated, if it was.
        oracle: Bin -> the member that it takes; it looks at the annotations. None without.
    """

    run: str
    split: str
    annotations: str
    reference: str
    images: Mapping[str, int]
    figure: Path
    detections: Path
    members: Sequence[Row]
    methods: Sequence[Row]
    costs: Costs
    dispatch: DispatchCalibration | None
    oracle: Mapping[str, str] | None


def ensemble(
    runs: str | Path | Sequence[str | Path] | None = None,
    *,
    method: Sequence[str] | None = None,
    results: Sequence[str] | Mapping[str, Path] | None = None,
    annotations: Path | None = None,
    bins: str | None = None,
    calibrate: str | None = None,
    checkpoint: Sequence[Path] | None = None,
    config: Sequence[str] | None = None,
    data: Path | None = None,
    split: str = "test",
    bootstrap: int = 200,
    timed: int = TIMED,
    out: Path | None = None,
    device: Device = "auto",
    progress: Progress | None = None,
) -> EnsembleResult:
    """Compare the ways of combining heads or detectors: by AP, per GT-count bin, and by what they cost.

    Methods are those of `rgacli.method.ENSEMBLING_METHODS`. "ensemble" is the paper's (Sec. 3.2): logits averaged
    before softmax, boxes of the head with the highest positive fraction. Of several runs, the first one's RPN feeds
    the R-CNN modules of all for the methods that average (Table 5). The detections of each method are saved.

    Args:
        runs: A run, whose heads are combined (the latest without), or several, combined as separate detectors.
        method: Ways of combining; by default all that can be had.
        results: COCO results files of any framework in the runs' place, "NAME=FILE" each or name -> file, with scores
            in [0, 1].
        annotations: The COCO annotations that `results` were made for.
        bins: Bins of the number of objects, such as "1-3,8+".
        calibrate: The split that dispatch is calibrated on; by default val, or train where val is evaluated and train
            has no more than 5000 images.
        checkpoint: Weights in runs' place.
        config: Of each checkpoint, in their order, or one of all; not needed where they lie in their runs or exports.
        data: Folder of another dataset than the one trained on.
        split: Of the dataset; one without "test" is evaluated on "val" in its place.
        bootstrap: Bootstrap samples of images behind each 95 % interval.
        timed: Images to time each method on; 0: none.
        out: Folder of the figure and its CSV.
        device: "auto" takes CUDA where there is one.
        progress: Told of what goes on.

    Raises:
        UsageError, DataError: what is named cannot be used or combined.
    """
    own_bins = None if bins is None else parse_bins(bins)
    runs = [runs] if isinstance(runs, (str, Path)) else list(runs or ())
    if results:
        _require_alone(runs, checkpoint, config, data, split, calibrate, timed, device)
    elif annotations:
        raise UsageError(
            f"{param('annotations')} goes with {param('results', 'NAME=FILE')}; a run's dataset is named by "
            f"{param('data')}."
        )
    elif calibrate and method and "dispatch" not in method:
        raise UsageError(f"{param('calibrate')} goes with {param('method', 'dispatch')}.")
    with on_device(device):
        combined = (
            ResultsEnsemble(results, annotations)
            if results
            else _of_detectors(runs, checkpoint, config, data, split, calibrate)
        )
        return _compare(
            combined,
            method or (),
            own_bins or benchmark_of(combined.annotations).bins,
            split=combined.ann_file if results else split,
            bootstrap=bootstrap,
            timed=timed,
            out=out,
            progress=progress,
        )


def _require_alone(
    runs: Any, checkpoint: Any, config: Any, data: Any, split: str, calibrate: Any, timed: int, device: str
) -> None:
    detecting = runs or checkpoint or config or data or calibrate or split != "test" or device != "auto"
    if detecting or timed not in (0, TIMED):
        names = ("runs", "checkpoint", "config", "data", "split", "calibrate", "timed", "device")
        *others, last = map(param, names)
        raise UsageError(f"{param('results')} stand alone: leave out {', '.join(others)} and {last}.")


def _of_detectors(
    runs: Sequence[str | Path],
    checkpoints: Sequence[Path] | None,
    configs: Sequence[str] | None,
    data: Path | None,
    split: str,
    calibrate: str | None,
) -> Ensemble:
    """Return the heads of one run or checkpoint, or several as separate detectors.

    Raises:
        UsageError: what is named cannot be used or combined.
    """
    if checkpoints and runs:
        raise UsageError(f"give {param('runs')} or {param('checkpoint')}, not both.")
    if configs and not checkpoints:
        raise UsageError(f"{param('config')} says what a {param('checkpoint')} was trained by: give that as well.")
    checkpoints, configs = list(checkpoints or ()), list(configs or [None])
    if len(configs) == 1:
        configs *= len(checkpoints)  # one of all; or none, where each lies in its run
    if len(configs) != len(checkpoints):
        raise UsageError(
            f"{param('config')}: {len(configs)} for {len(checkpoints)} {param('checkpoint')}; give one each, or one of "
            "all."
        )
    named = [(None, *pair) for pair in zip(checkpoints, configs, strict=True)]
    named = named or [(run, None, None) for run in runs or [None]]

    def on_split(one: tuple, name: str) -> SplitDetections:
        return SplitDetections.of(find_trained(*one), name, data)

    if len(named) > 1:
        if calibrate:
            raise UsageError(
                f"{param('calibrate')} goes with {param('method', 'dispatch')}, which weighs the heads of one run."
            )
        return DetectorsEnsemble([on_split(one, split) for one in named])
    if calibrate == split:
        raise UsageError(f"{param('calibrate', calibrate)} is the split that is evaluated: name another.")
    (one,) = named
    return HeadsEnsemble(on_split(one, split), lambda other: on_split(one, other), calibrate)


def _compare(
    combined: Ensemble,
    asked: Sequence[str],
    bins: Sequence[GTBin],
    *,
    split: str,
    bootstrap: int,
    timed: int,
    out: Path | None,
    progress: Progress | None,
) -> EnsembleResult:
    methods = combined.choose(asked)
    found = combined.detect(methods, bins, progress)
    figure = (out or combined.figures) / "ensembles.png"
    require_place(figure)
    found |= combined.fuse(methods, progress)
    members = combined.members
    evaluations = {name: evaluate(combined.annotations, detections) for name, detections in (members | found).items()}
    chosen = None
    if "oracle" in methods:
        found["oracle"], chosen = combined.oracle(evaluations, bins)
        evaluations["oracle"] = evaluate(combined.annotations, found["oracle"])
    for name in ("joint-nms", "wbf", "dispatch", "oracle"):  # no forward pass left these on disk
        if name in found:
            save_results(combined.folder / f"{name}.json", found[name])
    reference = ENSEMBLE if ENSEMBLE in found else next(iter(members))
    order = dict.fromkeys([*members, *(name for name in (ENSEMBLE, *methods) if name in found)])
    compared = {name: evaluations[name] for name in order}
    rows = {row.name: row for row in collect(compared, bins, reference, bootstrap=bootstrap, progress=progress)}
    costs = combined.costs(methods, timed, progress)
    images = {label: len(ids) for label, ids in assign(gt_counts(combined.annotations), bins).items()}
    plot(list(rows.values()), reference, images, figure)
    tell(f"figure: {figure}; data: {figure.with_suffix('.csv')}; detections in {combined.folder}")
    return EnsembleResult(
        run=combined.name,
        split=split,
        annotations=combined.ann_file,
        reference=reference,
        images=images,
        figure=figure,
        detections=combined.folder,
        members=[rows[name] for name in members],
        methods=[row for name, row in rows.items() if name not in members],
        costs=costs,
        dispatch=_calibration_of(combined),
        oracle=chosen,
    )


def _calibration_of(combined: Ensemble) -> DispatchCalibration | None:
    if not isinstance(combined, HeadsEnsemble) or not combined.calibration:
        return None
    return DispatchCalibration(combined.calibration_split.ann_file, **vars(combined.calibration))
