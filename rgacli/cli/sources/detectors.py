"""Separate detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgacli.cli.output import say
from rgacli.cli.progress import live_progress
from rgacli.cli.sources.source import (
    AVERAGE,
    METHODS,
    OF_LOGITS,
    OF_RESULTS,
    Costs,
    Found,
    Method,
    Source,
    count_parameters,
    home_of,
    nms_of,
    timed,
)
from rgacli.cli.target import Target
from rgacli.errors import UsageError

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

    from rgacli.evaluation.gt_bins import GTBin


class Detectors(Source):
    """Separate detectors, by name.

    Raises:
        UsageError: they differ in their classes or in the annotations they are evaluated on.
    """

    methods = (*OF_LOGITS, *OF_RESULTS)

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = _by_name(targets)
        first = targets[0]
        files = sorted({target.ann_file for target in targets})
        if len(files) > 1:
            raise UsageError(f"the runs' {first.split} splits differ ({', '.join(files)}): name one dataset by --data.")
        _require_same_classes({name: target.cfg for name, target in self._targets.items()})
        self.name, self.annotations, self.ann_file = " + ".join(self._targets), first.annotations, first.ann_file
        home, place = home_of(self._targets), first.detections_dir.name
        self._logs = home / "logs"
        self.detections_dir, self.figures = home / "detections" / place, home / "figures" / place
        self.iou, self.limit = nms_of(first.cfg)

    @cached_property
    def singles(self) -> Found:
        """As Source's: a detector with parallel heads counts by its ensemble."""
        return {name: list(target.detections().values())[-1] for name, target in self._targets.items()}

    def obstacle(self, method: Method) -> str | None:
        """As Source's."""
        from rgacli.config.recipe import bbox_head_configs
        from rgacli.modeling.ensembling import obstacle

        if method not in self.methods:
            return "it weighs the heads of one run, by their ratios"
        if method in OF_LOGITS and self._joint_obstacle:
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
        wanted = [method for method in methods if method in OF_LOGITS]
        if not wanted:
            return {}

        from rgacli.cli.progress_hook import ProgressHook
        from rgacli.evaluation.detect import detect_jointly, saved_detections
        from rgacli.method import ENSEMBLE

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
        from rgacli.ensembles.timing import as_results
        from rgacli.evaluation.detect import joint_detector
        from rgacli.method import ENSEMBLE
        from rgacli.modeling.build import build_detector

        wanted = [method for method in methods if method in OF_LOGITS]
        if wanted:
            joint = joint_detector(self._members, [method for method in wanted if method != AVERAGE])
            models = list(joint.detectors)
        else:
            models = [build_detector(*member) for member in self._members.values()]
        sizes = [count_parameters(model) for model in models]
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
        for name, fuse in self.fusions(methods).items():
            ways[name] = lambda data, fuse=fuse: fuse([work(data) for work in each])
        first = next(iter(self._targets.values()))
        return Costs(parameters, timed(first, images, lambda data: data, each[0], ways))

    @property
    def _members(self) -> dict[str, tuple[Config, Path]]:
        return {name: (target.cfg, target.checkpoint) for name, target in self._targets.items()}


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


def _require_same_classes(configs: Mapping[str, Config]) -> None:
    from mmdet.registry import DATASETS

    from rgacli.config.dataset import classes_of, dataset_config

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
