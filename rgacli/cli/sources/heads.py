"""The parallel heads of one detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rgacli.cli.output import say
from rgacli.cli.sources.source import (
    AVERAGE,
    OF_LOGITS,
    Costs,
    Found,
    Method,
    Source,
    count_parameters,
    nms_of,
    timed,
)
from rgacli.cli.target import SplitName, Target
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from rgacli.ensembles.dispatch import Calibration
    from rgacli.evaluation.gt_bins import GTBin

_MANY_IMAGES = 5000  # COCO's val; without a test split of its own, it would be calibrated on the 118287 of train


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
        from rgacli.config.recipe import variant_names
        from rgacli.method import ENSEMBLE

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
        self.iou, self.limit = nms_of(target.cfg)
        self.calibration: Calibration | None = None
        self._variants: Found = {}

    @property
    def singles(self) -> Found:
        """As Source's."""
        return {name: self._variants[variant] for variant, name in self._names.items()}

    def obstacle(self, method: Method) -> str | None:
        """As Source's."""
        from rgacli.config.recipe import bbox_head_configs, parallel_ratios
        from rgacli.modeling.ensembling import obstacle

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
        from rgacli.ensembles.dispatch import calibrate, dispatch
        from rgacli.method import ENSEMBLE
        from rgacli.modeling.ensembling import TILTS, tilt_name

        others = [method for method in methods if method in OF_LOGITS and method != AVERAGE]
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
        from rgacli.ensembles.timing import by_heads, proposed
        from rgacli.evaluation.detect import variants_detector
        from rgacli.method import ENSEMBLE
        from rgacli.modeling.ensembling import TILTS, tilt_name

        others = [method for method in methods if method in OF_LOGITS and method != AVERAGE]
        tilt = tilt_name(TILTS[0])
        model = variants_detector(self._target.cfg, self._target.checkpoint)
        heads = list(self._names)
        sizes = [count_parameters(*_heads_at(model.roi_head, index)) for index in range(len(heads))]
        whole = count_parameters(model)
        parameters = {name: whole - sum(sizes) + size for name, size in zip(self.singles, sizes, strict=True)}
        parameters |= dict.fromkeys((AVERAGE, *methods), whole)
        if not images:
            return Costs(parameters)
        ways = {AVERAGE: by_heads(model, [ENSEMBLE])}
        ways |= {method: by_heads(model, [method]) for method in others}
        every = by_heads(model, heads)
        ways |= {name: lambda shared, fuse=fuse: fuse(every(shared)) for name, fuse in self.fusions(methods).items()}
        if "dispatch" in methods:
            ways["dispatch"] = by_heads(model, [ENSEMBLE, tilt])  # the average, and then what its count asks for
        single = by_heads(model, [heads[model.roi_head.box_head]])
        return Costs(parameters, timed(self._target, images, lambda data: proposed(model, data), single, ways))


def _heads_at(roi_head: nn.Module, index: int) -> list[nn.Module]:
    """Head `index` of every stage."""
    from mmengine.model import ModuleList

    stages = roi_head.bbox_head if isinstance(roi_head.bbox_head[0], ModuleList) else [roi_head.bbox_head]
    return [heads[index] for heads in stages]
