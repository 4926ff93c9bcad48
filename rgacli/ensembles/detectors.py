"""Separate detectors, combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from mmdet.registry import DATASETS

from rgacli.config.dataset import classes_of, trained_dataset
from rgacli.config.recipe import bbox_head_configs
from rgacli.engine.progress_hook import ProgressHook
from rgacli.ensembles.costs import Costs, count_parameters
from rgacli.ensembles.ensemble import (
    OF_LOGITS,
    OF_RESULTS,
    Detected,
    Ensemble,
    NamedDetections,
    home_of,
    nms_of,
    of_logits,
)
from rgacli.ensembles.timing import as_results, measure, single_images
from rgacli.errors import UsageError
from rgacli.evaluation.detect import changed_meanwhile, detect_jointly, joint_detector, saved_detections
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.split_detections import SplitDetections, distinct_names, require_same_annotations
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS
from rgacli.modeling import ensembling
from rgacli.modeling.build import build_detector
from rgacli.modeling.fusing import fuse
from rgacli.progress import Progress
from rgacli.trained import Trained


class DetectorsEnsemble(Ensemble):
    """Separate detectors; one with parallel heads counts by its ensemble.

    Args:
        detectors: At least two, on the split to evaluate; the first one's RPN proposes for all.
        home: Folder of what is made of them; by default ensembles/A+B.

    Raises:
        UsageError: they differ in their classes or in the annotations they are evaluated on, one stands twice, or has
            the name of a method.
    """

    methods = (*OF_LOGITS, *OF_RESULTS)

    def __init__(self, detectors: Sequence[SplitDetections], home: Path | None = None) -> None:
        self._members = dict(zip(distinct_names(detectors), detectors, strict=True))
        for name in self._members:
            if name in ENSEMBLING_METHODS:
                raise UsageError(f"run {name} has the name of a method; give it another, or name its directory.")
        self._first = detectors[0]
        require_same_annotations(detectors)
        for detector in detectors:
            detector.make_room()  # first: what it limits detections to limits the methods' as well
        _require_same_classes({name: detector.cfg for name, detector in self._members.items()})
        self.name = " + ".join(self._members)
        self.annotations, self.ann_file = self._first.annotations, self._first.ann_file
        self.split = self._first.split
        home, place = home or home_of(self._members), self._first.folder.name
        self._logs = home / "logs"
        self.folder, self.figures = home / "detections" / place, home / "figures" / place
        self.iou, self.limit = nms_of(self._first.cfg)

    def obstacle(self, method: str) -> str | None:
        """See Ensemble."""
        if method not in self.methods:
            return "it weighs the heads of one run, by their ratios"
        if method in OF_LOGITS and self._joint_obstacle:
            return self._joint_obstacle
        heads = [head for detector in self._members.values() for head in bbox_head_configs(detector.cfg)]
        return ensembling.obstacle(method, heads)

    @cached_property
    def _joint_obstacle(self) -> str | None:
        """Why these detectors cannot score common proposals, if they cannot."""
        try:
            joint_detector(self._trained)
        except UsageError as error:
            return error.message.rstrip(".")
        return None

    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None = None) -> Detected:
        """See Ensemble: for the methods, the first detector's RPN feeds the heads of all, in one pass."""
        found = self._detect_jointly(methods, progress) if set(methods) & set(OF_LOGITS) else {}
        members = {name: list(one.load(progress=progress).values())[-1] for name, one in self._members.items()}
        return Detected(members, found)

    def _detect_jointly(self, methods: Sequence[str], progress: Progress | None) -> NamedDetections:
        """Return the detections of the ensemble, which is there unasked, and of those of `methods` that take logits."""
        others = of_logits(methods)
        arguments = list(self._trained.values()), self.annotations, self.ann_file, self.folder, [ENSEMBLE, *others]
        found = saved_detections(*arguments)
        if found is not None:
            tell(f"{self.name}: using the detections in {self.folder}")
            return found
        detect_jointly(
            self._trained,
            self._first.loader,
            self.folder,
            log_dir=self._logs,
            hooks=[ProgressHook(progress)],
            max_dets=self._first.max_dets.value,
            methods=others,
        )
        if (found := saved_detections(*arguments)) is None:
            raise changed_meanwhile(f"a checkpoint of {self.name}", self.ann_file, self.folder, "the detectors")
        return found

    def costs(self, methods: Sequence[str], images: int, progress: Progress | None = None) -> Costs:
        """See Ensemble; timed from the prepared image on, the first detector being the single one."""
        jointly_had: list[str] = []
        if set(methods) & set(OF_LOGITS):
            jointly_had = [ENSEMBLE, *of_logits(methods)]
            joint = joint_detector(self._trained, jointly_had[1:], fused=False)
            models = list(joint.detectors)
        else:
            models = [build_detector(detector.cfg, detector.checkpoint) for detector in self._members.values()]
        sizes = [count_parameters(model) for model in models]
        parameters = dict(zip(self._members, sizes, strict=True)) | dict.fromkeys(methods, sum(sizes))
        parameters |= dict.fromkeys(jointly_had, joint.num_parameters if jointly_had else 0)
        if not images:
            return Costs(parameters)
        for model in models:
            fuse(model)

        def alone(model: nn.Module) -> Callable[[dict], list[dict]]:
            return lambda data: as_results(model.test_step(data)[0].pred_instances)

        def jointly(variant: str) -> Callable[[dict], Any]:
            def work(data: dict) -> Any:
                data = joint.detectors[0].data_preprocessor(data, False)
                ((instances,),) = joint.detect(data["inputs"], data["data_samples"], [variant]).values()
                return as_results(instances)

            return work

        each = [alone(model) for model in models]
        ways = {method: jointly(method) for method in jointly_had}
        for name, merge in self.fusions(methods).items():
            ways[name] = lambda data, merge=merge: merge([work(data) for work in each])
        loader = single_images(self._first.cfg, self._first.loader)
        timing, added = measure(loader, images, lambda data: data, each[0], ways, progress=progress)
        return Costs(parameters, added, timing)

    @property
    def _trained(self) -> dict[str, Trained]:
        return {name: detector.trained for name, detector in self._members.items()}


def _require_same_classes(configs: Mapping[str, Config]) -> None:
    known = {}
    for name, cfg in configs.items():
        dataset = trained_dataset(cfg)
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
