"""Separate detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from mmengine.config import Config
from torch import nn

import rgacli.compat  # noqa: F401  (first: it supplies the compiled part of mmcv, which mmdet imports)

# isort: split
from mmdet.registry import DATASETS

from rgacli.config.dataset import classes_of, dataset_config
from rgacli.config.recipe import bbox_head_configs
from rgacli.engine.progress_hook import ProgressHook
from rgacli.ensembles.ensemble import OF_LOGITS, OF_RESULTS, Costs, Ensemble, NamedDetections, home_of, nms_of
from rgacli.ensembles.timing import as_results, count_parameters, measure, single_images
from rgacli.errors import UsageError
from rgacli.evaluation.detect import detect_jointly, joint_detector, saved_detections
from rgacli.evaluation.gt_bins import GTBin
from rgacli.evaluation.split_detections import SplitDetections, distinct_names, require_same_annotations
from rgacli.messages import tell
from rgacli.method import ENSEMBLE, ENSEMBLING_METHODS
from rgacli.modeling.build import build_detector
from rgacli.modeling.ensembling import obstacle
from rgacli.progress import Progress
from rgacli.trained import Trained


class DetectorsEnsemble(Ensemble):
    """Separate detectors, by name.

    Args:
        detectors: Each on the split to evaluate; the first one's RPN proposes for all.

    Raises:
        UsageError: they differ in their classes or in the annotations they are evaluated on, or one stands twice.
    """

    methods = (*OF_LOGITS, *OF_RESULTS)

    def __init__(self, detectors: Sequence[SplitDetections]) -> None:
        self._detectors = dict(zip(distinct_names(detectors), detectors, strict=True))
        for name in self._detectors:
            if name in ENSEMBLING_METHODS:
                raise UsageError(f"run {name} has the name of a method; give it another, or name its directory.")
        first = detectors[0]
        require_same_annotations(detectors)
        self.annotations, self.ann_file = first.annotations, first.ann_file
        _require_same_classes({name: detector.cfg for name, detector in self._detectors.items()})
        self.name = " + ".join(self._detectors)
        home, place = home_of(self._detectors), first.folder.name
        self._logs = home / "logs"
        self.folder, self.figures = home / "detections" / place, home / "figures" / place
        self.iou, self.limit = nms_of(first.cfg)

    @cached_property
    def members(self) -> NamedDetections:
        """See Ensemble; a detector with parallel heads counts by its ensemble."""
        return {name: list(detector.load().values())[-1] for name, detector in self._detectors.items()}

    def obstacle(self, method: str) -> str | None:
        """See Ensemble."""
        if method not in self.methods:
            return "it weighs the heads of one run, by their ratios"
        if method in OF_LOGITS and self._joint_obstacle:
            return self._joint_obstacle
        heads = [head for detector in self._detectors.values() for head in bbox_head_configs(detector.cfg)]
        return obstacle(method, heads)

    @cached_property
    def _joint_obstacle(self) -> str | None:
        """Why these detectors cannot score common proposals, if they cannot."""
        try:
            joint_detector(self._trained)
        except UsageError as error:
            return error.message.rstrip(".")
        return None

    def detect(self, methods: Sequence[str], bins: Sequence[GTBin], progress: Progress | None) -> NamedDetections:
        """See Ensemble: the first detector's RPN feeds the heads of all, in one pass."""
        wanted = [method for method in methods if method in OF_LOGITS]
        if not wanted:
            return {}
        others = [method for method in wanted if method != ENSEMBLE]
        arguments = list(self._trained.values()), self.annotations, self.ann_file, self.folder, [ENSEMBLE, *others]
        found = saved_detections(*arguments)
        if found is not None:
            tell(f"{self.name}: using the detections in {self.folder}")
            return found
        detect_jointly(
            self._trained,
            next(iter(self._detectors.values())).split,
            self.folder,
            log_dir=self._logs,
            hooks=[ProgressHook(progress)],
            methods=others,
        )
        return saved_detections(*arguments)

    def costs(self, methods: Sequence[str], images: int, progress: Progress | None) -> Costs:
        """See Ensemble; timed from the prepared image on, the first detector being the single one."""
        wanted = [method for method in methods if method in OF_LOGITS]
        if wanted:
            joint = joint_detector(self._trained, [method for method in wanted if method != ENSEMBLE])
            models = list(joint.detectors)
        else:
            models = [build_detector(one.cfg, one.checkpoint) for one in self._trained.values()]
        sizes = [count_parameters(model) for model in models]
        parameters = dict(zip(self._detectors, sizes, strict=True)) | dict.fromkeys(methods, sum(sizes))
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

        ways = {method: jointly(method) for method in wanted}
        each = [alone(model) for model in models]
        for name, fuse in self.fusions(methods).items():
            ways[name] = lambda data, fuse=fuse: fuse([work(data) for work in each])
        first = next(iter(self._detectors.values()))
        inputs = single_images(first.cfg, first.split, images)
        return Costs(parameters, measure(inputs, lambda data: data, each[0], ways, progress=progress))

    @property
    def _trained(self) -> dict[str, Trained]:
        return {name: detector.trained for name, detector in self._detectors.items()}


def _require_same_classes(configs: Mapping[str, Config]) -> None:
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
