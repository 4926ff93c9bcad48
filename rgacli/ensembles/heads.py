"""The parallel heads of one detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from mmengine.model import ModuleList
from torch import nn

from rgacli.config.recipe import bbox_head_configs, parallel_ratios, variant_names
from rgacli.data.layout import SPLITS
from rgacli.ensembles.dispatch import Calibration, calibrate, dispatch
from rgacli.ensembles.ensemble import OF_LOGITS, Costs, Ensemble, NamedDetections, nms_of
from rgacli.ensembles.timing import by_heads, count_parameters, measure, proposed, single_images
from rgacli.errors import UsageError
from rgacli.evaluation.detect import variants_detector
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.messages import tell
from rgacli.method import ENSEMBLE
from rgacli.modeling.ensembling import TILTS, obstacle, tilt_name
from rgacli.progress import Progress
from rgacli.wording import param

_MANY_IMAGES = 5000  # COCO's val; without a test split of its own, it would be calibrated on the 118287 of train


class HeadsEnsemble(Ensemble):
    """The parallel heads of one detector.

    Args:
        detector: The detector, on the split to evaluate.
        on_split: Split -> the same detector on it, or a UsageError.
        calibrate: The split that dispatch is calibrated on; by default val, or train where that is evaluated.

    Raises:
        UsageError: the detector has a single head.
    """

    def __init__(
        self, detector: SplitDetections, on_split: Callable[[str], SplitDetections], calibrate: str | None
    ) -> None:
        names = variant_names(detector.cfg)
        if ENSEMBLE not in names:
            only = ", ".join(names.values())
            raise UsageError(
                f"{detector.name} has a single head ({only}): nothing to ensemble; name several runs to combine them."
            )
        self._detector, self._on_split, self._calibrate = detector, on_split, calibrate
        self._names = {variant: name for variant, name in names.items() if variant != ENSEMBLE}
        self.name, self.annotations, self.ann_file = detector.name, detector.annotations, detector.ann_file
        self.folder, self.figures = detector.folder, detector.figures
        self.iou, self.limit = nms_of(detector.cfg)
        self.calibration: Calibration | None = None
        self._variants: NamedDetections = {}

    @property
    def members(self) -> NamedDetections:
        """See Ensemble."""
        return {name: self._variants[variant] for variant, name in self._names.items()}

    def obstacle(self, method: str) -> str | None:
        """See Ensemble."""
        if method == "dispatch":
            if len({ratio.positive_fraction for ratio in parallel_ratios(self._detector.cfg)}) == 1:
                return "all heads have one ratio, so none suits any image better"
            try:
                _ = self.calibration_split
            except UsageError as error:
                return error.message.rstrip(".")
        return obstacle(method, bbox_head_configs(self._detector.cfg))

    @cached_property
    def calibration_split(self) -> SplitDetections:
        """The detector on the split that dispatch is calibrated on.

        Raises:
            UsageError: it is the split that is evaluated, cannot be used, or is too large to be taken unasked.
        """
        evaluated = self._detector.split
        others = [split for split in ("val", *SPLITS) if split not in (evaluated, "test")]
        for candidate in [self._calibrate] if self._calibrate else dict.fromkeys(others):
            found = self._on_split(candidate)
            if Path(found.ann_file).resolve() != Path(self.ann_file).resolve():
                images = len(found.annotations["images"])
                if images > _MANY_IMAGES and not self._calibrate:
                    raise UsageError(
                        f"it would be calibrated on all {images} images of {candidate}; if that is wanted, say "
                        f"{param('calibrate', candidate)}."
                    )
                return found
        raise UsageError(
            f"it would be calibrated on the annotations that it is evaluated on ({self.ann_file}); "
            f"name another split by {param('calibrate')}."
        )

    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None) -> NamedDetections:
        """See Ensemble: all from one forward pass over the split, and one over the split to calibrate on."""
        others = [method for method in methods if method in OF_LOGITS and method != ENSEMBLE]
        tilts = list(map(tilt_name, TILTS)) if "dispatch" in methods else []
        self._variants = self._detector.load(methods=[*others, *tilts], progress=progress)
        found = {method: self._variants[method] for method in (ENSEMBLE, *others)}
        if tilts:
            split = self.calibration_split
            tell(f"dispatch is calibrated on {split.ann_file} ({len(split.annotations['images'])} images)")
            on_other, weighed = split.load(methods=tilts, progress=progress), (ENSEMBLE, *tilts)
            self.calibration = calibrate(
                split.annotations, {variant: on_other[variant] for variant in weighed}, ENSEMBLE, bins
            )
            images = [image["id"] for image in self.annotations["images"]]
            own = {variant: self._variants[variant] for variant in weighed}
            found["dispatch"] = dispatch(own, ENSEMBLE, images, bins, self.calibration)
        return found

    def costs(self, methods: Sequence[str], images: int, progress: Progress | None) -> Costs:
        """See Ensemble; methods are timed from the proposals on, which all share."""
        others = [method for method in methods if method in OF_LOGITS and method != ENSEMBLE]
        model = variants_detector(self._detector.trained)
        heads = list(self._names)
        sizes = [count_parameters(*_heads_at(model.roi_head, index)) for index in range(len(heads))]
        whole = count_parameters(model)
        parameters = {name: whole - sum(sizes) + size for name, size in zip(self.members, sizes, strict=True)}
        parameters |= dict.fromkeys((ENSEMBLE, *methods), whole)
        if not images:
            return Costs(parameters)
        ways = {method: by_heads(model, [method]) for method in (ENSEMBLE, *others)}
        every = by_heads(model, heads)
        ways |= {name: lambda shared, fuse=fuse: fuse(every(shared)) for name, fuse in self.fusions(methods).items()}
        if "dispatch" in methods:
            ways["dispatch"] = by_heads(model, [ENSEMBLE, tilt_name(TILTS[0])])  # then what its count asks for
        single = by_heads(model, [heads[model.roi_head.box_head]])
        inputs = single_images(self._detector.cfg, self._detector.split, images)
        return Costs(parameters, measure(inputs, lambda data: proposed(model, data), single, ways, progress=progress))


def _heads_at(roi_head: nn.Module, index: int) -> list[nn.Module]:
    """Head `index` of every stage."""
    stages = roi_head.bbox_head if isinstance(roi_head.bbox_head[0], ModuleList) else [roi_head.bbox_head]
    return [heads[index] for heads in stages]
