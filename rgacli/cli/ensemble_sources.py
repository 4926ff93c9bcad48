"""What `rgacli ensemble` combines: the heads of one run, separate detectors, or results files of any framework."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rgacli.cli.analyze import read_results
from rgacli.cli.output import say
from rgacli.cli.progress import Meter, counted, live_progress
from rgacli.cli.target import SplitName, Target, find_target
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmengine.config import Config
    from torch import nn

    from rgacli.evaluation.coco_metrics import Evaluation
    from rgacli.evaluation.dispatch import Calibration
    from rgacli.evaluation.gt_bins import GTBin
    from rgacli.evaluation.timing import Timing

Method = Literal["average", "average-probs", "average-boxes", "joint-nms", "wbf", "dispatch", "oracle"]
METHODS: tuple[Method, ...] = Method.__args__
AVERAGE = "average"
_OF_LOGITS = (AVERAGE, "average-probs", "average-boxes")
_OF_RESULTS = ("joint-nms", "wbf", "oracle")

_LONGEST_NAME = 200  # bytes of a folder's; most file systems take 255
_MANY_IMAGES = 5000  # COCO's val; without a test split of its own, it would be calibrated on the 118287 of train

Found = dict[str, list[dict]]
"""Name -> detections in COCO's results format."""


@dataclass
class Costs:
    """Parameters and time, by name of a head, detector or method; what is not known is left out."""

    parameters: dict[str, int] = field(default_factory=dict)
    timing: Timing | None = None


class Source:
    """Heads or detectors ("singles") with their detections on one split, and the ways of combining them.

    Attributes:
        name: What the tables are headed by.
        annotations: The split's ground truth, a COCO dict.
        ann_file: Its file.
        detections_dir: Where the methods' detections go.
        figures: Folder of the figure.
        limit: The most detections that an image keeps.
        iou: The IoU of NMS.
        methods: Those that fit what is combined, which `obstacle` may still find something against.
    """

    methods: tuple[Method, ...] = METHODS
    name: str
    annotations: dict[str, Any]
    ann_file: str
    detections_dir: Path
    figures: Path
    limit: int | None = None
    iou: float = 0.5

    @property
    def singles(self) -> Found:
        """Each head's or detector's own detections."""
        raise NotImplementedError

    def obstacle(self, method: Method) -> str | None:
        """Why this method cannot be had here, if it cannot."""
        if method == "wbf" and find_spec("ensemble_boxes") is None:
            return "it needs the package ensemble-boxes: pip install 'rgacli[wbf]' (or ensemble-boxes)"
        return None

    def averaged(self, methods: Sequence[Method], bins: Sequence[GTBin]) -> Found:
        """Detections by those of `methods` that see more than results."""
        return {}

    def costs(self, methods: Sequence[Method], images: int) -> Costs:
        """What methods cost; timed on so many images, 0 for none."""
        return Costs()

    def choose(self, asked: Sequence[Method] | None) -> list[Method]:
        """The methods to compare: those asked for, by default all that can be had.

        Raises:
            UsageError: one that was asked for cannot be had.
        """
        obstacles = {method: self.obstacle(method) for method in METHODS if method in (asked or self.methods)}
        left_out: dict[str, list[Method]] = {}
        for method, obstacle in obstacles.items():
            if obstacle and asked:
                raise UsageError(f"--method {method}: {obstacle}.")
            if obstacle:
                left_out.setdefault(obstacle, []).append(method)
        for obstacle, without in left_out.items():
            say(f"without {', '.join(without)}: {obstacle}")
        return [method for method, obstacle in obstacles.items() if not obstacle]

    def fused(self, methods: Sequence[Method]) -> Found:
        """Detections by those of `methods` that need results alone."""
        from rgacli.evaluation.fusion import joint_nms, weighted_boxes_fusion

        found, singles = {}, list(self.singles.values())
        if "joint-nms" in methods:
            with counted("joint-nms") as progress:
                found["joint-nms"] = joint_nms(singles, iou=self.iou, limit=self.limit, progress=progress)
        if "wbf" in methods:
            with counted("wbf") as progress:
                found["wbf"] = weighted_boxes_fusion(singles, limit=self.limit, progress=progress)
        return found

    def oracle(self, evaluations: Mapping[str, Evaluation], bins: Sequence[GTBin]) -> tuple[list[dict], dict[str, str]]:
        """As `fusion.oracle`, over the singles."""
        from rgacli.evaluation.fusion import oracle

        return oracle(self.singles, {name: evaluations[name] for name in self.singles}, bins)

    def _fusions(self, methods: Sequence[Method]) -> dict[str, Callable[[list[list[dict]]], Any]]:
        """Method -> what fuses one image's results, to be timed."""
        from rgacli.evaluation.fusion import joint_nms, weighted_boxes_fusion

        fusions = {
            "joint-nms": lambda found: joint_nms(found, iou=self.iou, limit=self.limit),
            "wbf": lambda found: weighted_boxes_fusion(found, limit=self.limit),
        }
        return {method: fuse for method, fuse in fusions.items() if method in methods}


class Results(Source):
    """Results files of any framework, whose scores are probabilities.

    Raises:
        UsageError, DataError: they cannot be used.
    """

    methods = _OF_RESULTS

    def __init__(self, files: Sequence[str], annotations: Path | None) -> None:
        self.annotations, self._found = read_results(files, annotations, probabilities=True)
        self.ann_file = str(annotations)
        if len(self._found) < 2:
            raise UsageError("--results names a single file: nothing to combine, give at least two.")
        for name in self._found:
            if name in METHODS:
                raise UsageError(f"--results: {name} is the name of a method; give the file another.")
        self.name = " + ".join(self._found)
        home = _home(self._found)
        self.detections_dir, self.figures = home / "detections", home / "figures"

    @property
    def singles(self) -> Found:
        """As Source's."""
        return self._found

    def obstacle(self, method: Method) -> str | None:
        """As Source's."""
        if method not in self.methods:
            return "it takes detectors, and results files hold their boxes alone"
        return super().obstacle(method)


class Heads(Source):
    """The parallel heads of one detector.

    Args:
        target: The detector, on the split to evaluate.
        calibration: Split -> the same detector on it, or a UsageError.
        calibrate: The split that dispatch is calibrated on; by default val, or train where that is evaluated.

    Raises:
        UsageError: the detector has a single head.
    """

    def __init__(self, target: Target, calibration: Callable[[SplitName], Target], calibrate: SplitName | None) -> None:
        from rgacli.core.ensembling import ENSEMBLE
        from rgacli.evaluation.detect import variant_names

        names = variant_names(target.cfg)
        if ENSEMBLE not in names:
            only = ", ".join(names.values())
            raise UsageError(
                f"{target.name} has a single head ({only}): nothing to ensemble; name several runs to combine them."
            )
        self._target, self._calibration_of, self._calibrate = target, calibration, calibrate
        self._names = {variant: name for variant, name in names.items() if variant != ENSEMBLE}
        self.name, self.annotations, self.ann_file = target.name, target.annotations, target.ann_file
        self.detections_dir, self.figures = target.detections_dir, target.figures
        self.iou, self.limit = _nms(target.cfg)
        self.calibration: Calibration | None = None
        self._variants: Found = {}

    @property
    def singles(self) -> Found:
        """As Source's."""
        return {name: self._variants[variant] for variant, name in self._names.items()}

    def obstacle(self, method: Method) -> str | None:
        """As Source's."""
        from rgacli.core.ensembling import obstacle
        from rgacli.core.recipe import bbox_head_configs, parallel_ratios

        if method == "dispatch":
            if len({ratio.positive_fraction for ratio in parallel_ratios(self._target.cfg)}) == 1:
                return "all heads have one ratio, so none suits any image better"
            try:
                _ = self.calibration_target
            except UsageError as error:
                return str(error).rstrip(".")
        return obstacle(method, bbox_head_configs(self._target.cfg)) or super().obstacle(method)

    @cached_property
    def calibration_target(self) -> Target:
        """The detector on the split that dispatch is calibrated on.

        Raises:
            UsageError: it is the split that is evaluated, cannot be used, or is too large to be taken unasked.
        """
        split = self._target.split
        for candidate in [self._calibrate] if self._calibrate else [s for s in ("val", "train") if s != split]:
            target = self._calibration_of(candidate)
            if Path(target.ann_file).resolve() != Path(self.ann_file).resolve():
                images = len(target.annotations["images"])
                if images > _MANY_IMAGES and not self._calibrate:
                    raise UsageError(
                        f"it would be calibrated on all {images} images of {candidate}; if that is wanted, say "
                        f"--calibrate {candidate}."
                    )
                return target
        raise UsageError(
            f"it would be calibrated on the annotations that it is evaluated on ({self.ann_file}); "
            "name another split by --calibrate."
        )

    def averaged(self, methods: Sequence[Method], bins: Sequence[GTBin]) -> Found:
        """As Source's: all from one forward pass over the split, and one over the split to calibrate on."""
        from rgacli.core.ensembling import ENSEMBLE, TILTS, tilt_name
        from rgacli.evaluation.dispatch import calibrate, dispatch

        others = [method for method in methods if method in _OF_LOGITS and method != AVERAGE]
        tilts = list(map(tilt_name, TILTS)) if "dispatch" in methods else []
        self._variants = self._target.detections(methods=[*others, *tilts])
        found = {AVERAGE: self._variants[ENSEMBLE], **{method: self._variants[method] for method in others}}
        if tilts:
            target = self.calibration_target
            say(f"dispatch is calibrated on {target.ann_file} ({len(target.annotations['images'])} images)")
            on_other = target.detections(methods=tilts)
            weighed = (ENSEMBLE, *tilts)
            self.calibration = calibrate(
                target.annotations, {variant: on_other[variant] for variant in weighed}, ENSEMBLE, bins
            )
            images = [image["id"] for image in self.annotations["images"]]
            own = {variant: self._variants[variant] for variant in weighed}
            found["dispatch"] = dispatch(own, ENSEMBLE, images, bins, self.calibration)
        return found

    def costs(self, methods: Sequence[Method], images: int) -> Costs:
        """As Source's; methods are timed from the proposals on, which all share."""
        from rgacli.core.ensembling import ENSEMBLE, TILTS, tilt_name
        from rgacli.evaluation.detect import variants_detector
        from rgacli.evaluation.timing import by_heads, proposed

        others = [method for method in methods if method in _OF_LOGITS and method != AVERAGE]
        tilt = tilt_name(TILTS[0])
        model = variants_detector(self._target.cfg, self._target.checkpoint)
        heads = list(self._names)
        sizes = [_parameters(*_heads_at(model.roi_head, index)) for index in range(len(heads))]
        whole = _parameters(model)
        parameters = {name: whole - sum(sizes) + size for name, size in zip(self.singles, sizes, strict=True)}
        parameters |= dict.fromkeys((AVERAGE, *methods), whole)
        if not images:
            return Costs(parameters)
        ways = {AVERAGE: by_heads(model, [ENSEMBLE])}
        ways |= {method: by_heads(model, [method]) for method in others}
        every = by_heads(model, heads)
        ways |= {name: lambda shared, fuse=fuse: fuse(every(shared)) for name, fuse in self._fusions(methods).items()}
        if "dispatch" in methods:
            ways["dispatch"] = by_heads(model, [ENSEMBLE, tilt])  # the average, and then what its count asks for
        single = by_heads(model, [heads[model.roi_head.box_head]])
        return Costs(parameters, _time(self._target, images, lambda data: proposed(model, data), single, ways))


class Detectors(Source):
    """Separate detectors, by name.

    Raises:
        UsageError: they differ in their classes or in the annotations they are evaluated on.
    """

    methods = (*_OF_LOGITS, *_OF_RESULTS)

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = _by_name(targets)
        first = targets[0]
        files = sorted({target.ann_file for target in targets})
        if len(files) > 1:
            raise UsageError(f"the runs' {first.split} splits differ ({', '.join(files)}): name one dataset by --data.")
        _require_same_classes({name: target.cfg for name, target in self._targets.items()})
        self.name, self.annotations, self.ann_file = " + ".join(self._targets), first.annotations, first.ann_file
        home, place = _home(self._targets), first.detections_dir.name
        self._logs = home / "logs"
        self.detections_dir, self.figures = home / "detections" / place, home / "figures" / place
        self.iou, self.limit = _nms(first.cfg)

    @cached_property
    def singles(self) -> Found:
        """As Source's: a detector with parallel heads counts by its ensemble."""
        return {name: list(target.detections().values())[-1] for name, target in self._targets.items()}

    def obstacle(self, method: Method) -> str | None:
        """As Source's."""
        from rgacli.core.ensembling import obstacle
        from rgacli.core.recipe import bbox_head_configs

        if method not in self.methods:
            return "it weighs the heads of one run, by their ratios"
        if method in _OF_LOGITS and self._joint_obstacle:
            return self._joint_obstacle
        heads = [head for target in self._targets.values() for head in bbox_head_configs(target.cfg)]
        return obstacle(method, heads) or super().obstacle(method)

    @cached_property
    def _joint_obstacle(self) -> str | None:
        """Why these detectors cannot score common proposals, if they cannot."""
        from rgacli.evaluation.detect import joint_detector

        try:
            joint_detector(self._members)
        except UsageError as error:
            return str(error).rstrip(".")
        return None

    def averaged(self, methods: Sequence[Method], bins: Sequence[GTBin]) -> Found:
        """As Source's: the first detector's RPN feeds the heads of all, in one pass."""
        wanted = [method for method in methods if method in _OF_LOGITS]
        if not wanted:
            return {}

        from rgacli.cli.progress_hook import ProgressHook
        from rgacli.core.ensembling import ENSEMBLE
        from rgacli.evaluation.detect import detect_jointly, saved_detections

        others = [method for method in wanted if method != AVERAGE]
        members = list(self._members.values())
        arguments = members, self.annotations, self.ann_file, self.detections_dir, [ENSEMBLE, *others]
        found = saved_detections(*arguments)
        if found is None:
            with live_progress() as progress:
                detect_jointly(
                    self._members,
                    next(iter(self._targets.values())).split,
                    self.detections_dir,
                    log_dir=self._logs,
                    hooks=[ProgressHook(progress)],
                    methods=others,
                )
            found = saved_detections(*arguments)
        else:
            say(f"{self.name}: using the detections in {self.detections_dir}")
        return {AVERAGE: found.pop(ENSEMBLE), **found}

    def costs(self, methods: Sequence[Method], images: int) -> Costs:
        """As Source's; timed from the prepared image on, the first detector being the single one."""
        from rgacli.core.detector import build_detector
        from rgacli.core.ensembling import ENSEMBLE
        from rgacli.evaluation.detect import joint_detector
        from rgacli.evaluation.timing import as_results

        wanted = [method for method in methods if method in _OF_LOGITS]
        if wanted:
            joint = joint_detector(self._members, [method for method in wanted if method != AVERAGE])
            models = list(joint.detectors)
        else:
            models = [build_detector(*member) for member in self._members.values()]
        sizes = [_parameters(model) for model in models]
        parameters = dict(zip(self._targets, sizes, strict=True)) | dict.fromkeys(methods, sum(sizes))
        parameters |= dict.fromkeys(wanted, joint.num_parameters if wanted else 0)
        if not images:
            return Costs(parameters)

        def alone(model: nn.Module) -> Callable[[dict], list[dict]]:
            return lambda data: as_results(model.test_step(data)[0].pred_instances)

        def jointly(variant: str) -> Callable[[dict], Any]:
            def work(data: dict) -> Any:
                data = joint.detectors[0].data_preprocessor(data, False)
                ((instances,),) = joint.detect(data["inputs"], data["data_samples"], [variant]).values()
                return as_results(instances)

            return work

        ways = {method: jointly(ENSEMBLE if method == AVERAGE else method) for method in wanted}
        each = [alone(model) for model in models]
        for name, fuse in self._fusions(methods).items():
            ways[name] = lambda data, fuse=fuse: fuse([work(data) for work in each])
        first = next(iter(self._targets.values()))
        return Costs(parameters, _time(first, images, lambda data: data, each[0], ways))

    @property
    def _members(self) -> dict[str, tuple[Config, Path]]:
        return {name: (target.cfg, target.checkpoint) for name, target in self._targets.items()}


def find_source(
    runs: Sequence[str] | None,
    checkpoints: Sequence[Path] | None,
    configs: Sequence[str] | None,
    data: Path | None,
    split: SplitName,
    calibrate: SplitName | None,
) -> Source:
    """The heads of one run or checkpoint, or several as separate detectors.

    Raises:
        UsageError: what is named cannot be used or combined.
    """
    if checkpoints and runs:
        raise UsageError("give RUNs or --checkpoint, not both.")
    if configs and not checkpoints:
        raise UsageError("--config says what a --checkpoint was trained by: give that as well.")
    checkpoints, configs = list(checkpoints or ()), list(configs or [None])
    if len(configs) == 1:
        configs *= len(checkpoints)  # one of all; or none, where each lies in its run
    if len(configs) != len(checkpoints):
        raise UsageError(f"--config: {len(configs)} for {len(checkpoints)} --checkpoint; give one each, or one of all.")
    named = [(None, *pair) for pair in zip(checkpoints, configs, strict=True)]
    named = named or [(run, None, None) for run in runs or [None]]
    if len(named) > 1:
        if calibrate:
            raise UsageError("--calibrate goes with --method dispatch, which weighs the heads of one run.")
        return Detectors([find_target(*one, data, split) for one in named])
    if calibrate == split:
        raise UsageError(f"--calibrate {split} is the split that is evaluated: name another.")
    (one,) = named
    return Heads(find_target(*one, data, split), lambda other: find_target(*one, data, other), calibrate)


def _by_name(targets: Sequence[Target]) -> dict[str, Target]:
    """Targets by their runs' names or, where those are the same, paths."""
    homes = [target.home.resolve() for target in targets]
    for home in homes:
        if homes.count(home) > 1:
            raise UsageError(f"run {home.name} stands twice: name each run once.")
    names = [target.name for target in targets]
    distinct = [str(target.home) if names.count(target.name) > 1 else target.name for target in targets]
    for name in distinct:
        if name in METHODS:
            raise UsageError(f"run {name} has the name of a method; give it another, or name its directory.")
    return dict(zip(distinct, targets, strict=True))


def _home(names: Iterable[str]) -> Path:
    """Where what is made of several detectors goes."""
    together = "+".join(name.strip("./").replace("/", "_") for name in names)
    if len(together.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(together.encode()).hexdigest()[:8]
        together = together.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"-{digest}"
    return Path("ensembles") / together


def _nms(cfg: Config) -> tuple[float, int | None]:
    """IoU and most detections per image of the detector's own NMS, as far as it is a two-stage one's."""
    test_cfg = (cfg.model.get("test_cfg") or {}).get("rcnn") or {}
    limit = test_cfg.get("max_per_img", -1)
    return (test_cfg.get("nms") or {}).get("iou_threshold", Source.iou), limit if limit > 0 else None


def _require_same_classes(configs: Mapping[str, Config]) -> None:
    from mmdet.registry import DATASETS

    from rgacli.data.binding import classes_of, dataset_config

    known = {}
    for name, cfg in configs.items():
        dataset = dataset_config(cfg.train_dataloader)
        known[name] = tuple(classes_of(dataset) or DATASETS.get(dataset.type).METAINFO["classes"])
    (first, classes), *others = known.items()
    for name, found in others:
        if found != classes:
            lacking = [entry for entry in classes if entry not in found]
            more = [entry for entry in found if entry not in classes]
            parts = [f"{who} lacks {', '.join(which[:5])}" for who, which in ((name, lacking), (first, more)) if which]
            raise UsageError(
                f"{first} and {name} have other classes: {'; '.join(parts) or 'the same in another order'}."
            )


def _heads_at(roi_head: nn.Module, index: int) -> list[nn.Module]:
    """Head `index` of every stage."""
    from mmengine.model import ModuleList

    stages = roi_head.bbox_head if isinstance(roi_head.bbox_head[0], ModuleList) else [roi_head.bbox_head]
    return [heads[index] for heads in stages]


def _parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _time(
    target: Target,
    images: int,
    prepare: Callable[[Any], Any],
    single: Callable[[Any], Any],
    ways: Mapping[str, Callable[[Any], Any]],
) -> Timing:
    from rgacli.evaluation.timing import measure, single_images

    total = min(images, len(target.images["images"]))
    with live_progress() as progress:
        meter = Meter(progress, "timing", total)
        return measure(single_images(target.cfg, target.split, images), prepare, single, ways, seen=meter.update)
