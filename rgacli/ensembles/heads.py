"""The parallel heads of one detector, combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from mmengine.model import ModuleList
from torch import nn

from rgacli.config.recipe import bbox_head_configs, parallel_ratios, variant_names
from rgacli.ensembles.costs import Costs, count_parameters
from rgacli.ensembles.dispatch import calibrate, dispatch
from rgacli.ensembles.ensemble import Detected, Ensemble, nms_of, of_logits
from rgacli.ensembles.timing import by_heads, measure, proposed, single_images
from rgacli.errors import UsageError
from rgacli.evaluation.detect import variants_detector
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.messages import tell
from rgacli.method import ENSEMBLE
from rgacli.modeling import ensembling
from rgacli.modeling.ensembling import TILTS, tilt_name
from rgacli.modeling.fusing import fuse
from rgacli.progress import Progress
from rgacli.wording import param

_MANY_IMAGES = 5000  # COCO's val; without a test split of its own, it would be calibrated on the 118287 of train


class HeadsEnsemble(Ensemble):
    """The parallel heads of one detector.

    Args:
        detector: The detector, on the split to evaluate.
        on_split: Split -> the same detector on it, to calibrate dispatch.
        calibrate: The split that dispatch is calibrated on; by default val, or train where that is evaluated.

    Raises:
        UsageError: the detector has a single head.
    """

    def __init__(
        self, detector: SplitDetections, on_split: Callable[[str], SplitDetections], calibrate: str | None = None
    ) -> None:
        self._heads = variant_names(detector.cfg)
        if self._heads.pop(ENSEMBLE, None) is None:
            only = ", ".join(self._heads.values())
            raise UsageError(
                f"{detector.name} has a single head ({only}): nothing to ensemble; name several runs to combine them."
            )
        detector.make_room()  # first: what it limits detections to limits the methods' as well
        self._detector, self._on_split, self._calibrate = detector, on_split, calibrate
        self.name, self.split = detector.name, detector.split
        self.annotations, self.ann_file = detector.annotations, detector.ann_file
        self.folder, self.figures = detector.folder, detector.figures
        self.iou, self.limit = nms_of(detector.cfg)

    def obstacle(self, method: str) -> str | None:
        """See Ensemble."""
        if method == "dispatch":
            if len({ratio.positive_fraction for ratio in parallel_ratios(self._detector.cfg)}) == 1:
                return "all heads have one ratio, so none suits any image better"
            try:
                _ = self._calibration_split
            except UsageError as error:
                return error.message.rstrip(".")
        return ensembling.obstacle(method, bbox_head_configs(self._detector.cfg))

    @cached_property
    def _calibration_split(self) -> SplitDetections:
        """The detector on the split that dispatch is calibrated on.

        Raises:
            UsageError: it is the split that is evaluated, cannot be used, or is too large to be taken unasked.
        """
        others = [split for split in ("val", "train") if split != self._detector.split]
        for split in [self._calibrate] if self._calibrate else others:
            found = self._on_split(split)
            if Path(found.ann_file).resolve() != Path(self.ann_file).resolve():
                images = len(found.annotations["images"])
                if images > _MANY_IMAGES and not self._calibrate:
                    raise UsageError(
                        f"it would be calibrated on all {images} images of {split}; if that is wanted, say "
                        f"{param('calibrate', split)}."
                    )
                return found
        raise UsageError(
            f"it would be calibrated on the annotations that it is evaluated on ({self.ann_file}); "
            f"name another split by {param('calibrate')}."
        )

    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None = None) -> Detected:
        """See Ensemble: all from one forward pass over the split, and one over the split to calibrate on."""
        others = of_logits(methods)
        tilts = list(map(tilt_name, TILTS)) if "dispatch" in methods else []
        variants = self._detector.load(methods=[*others, *tilts], progress=progress)
        members = {name: variants[variant] for variant, name in self._heads.items()}
        found = {method: variants[method] for method in (ENSEMBLE, *others)}
        if not tilts:
            return Detected(members, found)
        split = self._calibration_split
        tell(f"dispatch is calibrated on {split.ann_file} ({len(split.annotations['images'])} images)")
        on_split = split.load(methods=tilts, progress=progress)
        weighed = (ENSEMBLE, *tilts)
        calibration = calibrate(
            split.annotations,
            {name: on_split[name] for name in weighed},
            bins,
            calibrated_on=split.ann_file,
            max_dets=split.asked,
        )
        images = [image["id"] for image in self.annotations["images"]]
        found["dispatch"] = dispatch({name: variants[name] for name in weighed}, images, bins, calibration)
        return Detected(members, found, calibration)

    def costs(self, methods: Sequence[str], images: int, progress: Progress | None = None) -> Costs:
        """See Ensemble; methods are timed from the proposals on, which all share."""
        model = variants_detector(self._detector.trained, fused=False)
        sizes = [count_parameters(*_modules_of(model.roi_head, index)) for index in range(len(self._heads))]
        whole = count_parameters(model)
        parameters = {name: whole - sum(sizes) + size for name, size in zip(self._heads.values(), sizes, strict=True)}
        parameters |= dict.fromkeys((ENSEMBLE, *methods), whole)
        if not images:
            return Costs(parameters)
        fuse(model)
        heads = list(self._heads)
        every = by_heads(model, heads)
        ways = {method: by_heads(model, [method]) for method in (ENSEMBLE, *of_logits(methods))}
        ways |= {name: lambda shared, way=way: way(every(shared)) for name, way in self.fusions(methods).items()}
        if "dispatch" in methods:
            ways["dispatch"] = by_heads(model, [ENSEMBLE, tilt_name(TILTS[0])])  # and then what its count asks for
        single = by_heads(model, [heads[model.roi_head.box_head]])
        loader = single_images(self._detector.cfg, self._detector.loader)
        timing, added = measure(loader, images, lambda data: proposed(model, data), single, ways, progress=progress)
        return Costs(parameters, added, timing)


def _modules_of(roi_head: nn.Module, index: int) -> list[nn.Module]:
    """Return the head of an index at every stage."""
    stages = roi_head.bbox_head if isinstance(roi_head.bbox_head[0], ModuleList) else [roi_head.bbox_head]
    return [heads[index] for heads in stages]
