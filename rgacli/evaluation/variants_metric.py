"""Every variant (each head, the ensemble) of a detector in mmengine's loops: its detections on disk, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from rgacli.config.dataset import annotation_file, dataset_config
from rgacli.config.recipe import add_imports, parallel_ratios
from rgacli.data.annotations import Annotations, load_annotations
from rgacli.evaluation.benchmark import Benchmark, Coco, CrowdHuman, benchmark_of
from rgacli.evaluation.detections import detections_by_variant
from rgacli.evaluation.results import coco_results, encode_masks, save_results


@METRICS.register_module()
class VariantsMetric(BaseMetric):
    """Metric that collects the detections of every variant that the model left in its data samples; it measures none.

    A model that leaves none (`keep_heads` off, or any other detector) has its prediction for its only variant.

    Args:
        ann_file: COCO annotations of the split; here, only its images and categories are read.
        out_dir: Where to save `<variant>.json` in COCO's results format; not saved without.
        by_bin: Whether AP on the images of each of the benchmark's bins is measured as well.
        max_dets: How many of an image's detections count; None for `max_dets_for`'s number.
        **kwargs: As for BaseMetric.

    Attributes:
        benchmark: What measures the detections; here nothing.
    """

    default_prefix = "variants"
    benchmark: type[Benchmark] | None = None

    def __init__(
        self,
        ann_file: str,
        out_dir: str | None = None,
        max_dets: int | None = None,
        by_bin: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.by_bin = by_bin
        self.ann_file = Path(ann_file)
        self.out_dir = Path(out_dir) if out_dir else None
        self.max_dets = max_dets

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections of one batch."""
        for sample in data_samples:
            found: dict[str, dict[str, Any]] = detections_by_variant(sample)
            for instances in found.values():
                if "masks" in instances:
                    instances["masks"] = encode_masks(instances["masks"])  # far smaller, as all images are kept
            self.results.append((sample["img_id"], found))

    def compute_metrics(self, results: list[tuple[int, dict[str, dict]]]) -> dict[str, float]:
        """Return "<variant>/<metric>" -> its value, over all images of the split."""
        # Label -> category id, as mmdet's CocoDataset numbers them: in the annotation file's order.
        category_of = [category["id"] for category in self.annotations["categories"]]
        metrics = {}
        for name in results[0][1] if results else ():
            detections = [
                detection
                for image_id, found in results
                for detection in coco_results(image_id, found[name], category_of)
            ]
            if self.out_dir:
                save_results(self.out_dir / f"{name}.json", detections)
            if self.benchmark:
                masks = "masks" in results[0][1][name]
                measured = self._benchmark.measure(detections, masks=masks, by_bin=self.by_bin)
                metrics.update({f"{name}/{key}": value for key, value in measured.items()})
        return metrics

    @cached_property
    def annotations(self) -> Annotations:
        """The split's annotations of the dataset's classes, read once."""
        return load_annotations(self.ann_file, labelled=False, classes=self.dataset_meta["classes"])

    @cached_property
    def _benchmark(self) -> Benchmark:
        return self.benchmark(self.annotations, self.ann_file, self.max_dets)


@METRICS.register_module()
class VariantsCocoMetric(VariantsMetric):
    """Every variant measured by COCO's metrics."""

    benchmark = Coco
    default_prefix = Coco.name


@METRICS.register_module()
class VariantsCrowdHumanMetric(VariantsMetric):
    """Every variant measured by CrowdHuman's; `ann_file` as `rgacli.data.crowdhuman.prepare` wrote it."""

    benchmark = CrowdHuman
    default_prefix = CrowdHuman.name


_METRIC_OF = {metric.benchmark: metric for metric in (VariantsCocoMetric, VariantsCrowdHumanMetric)}


def evaluator(ann_file: str, max_dets: int | None = None) -> dict[str, Any]:
    """Return the config of what measures a split, by the benchmark that its annotations belong to.

    Args:
        ann_file: Its annotations.
        max_dets: As for VariantsMetric.

    Raises:
        DataError: the annotations cannot be read, or what else the benchmark needs is not there or does not fit them.
    """
    annotations = load_annotations(Path(ann_file))
    benchmark = benchmark_of(annotations)
    benchmark(annotations, Path(ann_file))  # refuses what cannot be measured before the work
    own = {} if max_dets is None else dict(max_dets=max_dets)
    return dict(type=_METRIC_OF[benchmark].__name__, ann_file=ann_file, **own)


def validated_by(cfg: Config) -> type[Benchmark]:
    """Return what a config's validation measures by, its evaluators being set."""
    return METRICS.get(cfg.val_evaluator.type).benchmark


def set_evaluators(cfg: Config, max_dets: int | None = None) -> type[Benchmark]:
    """Make the config's validation and test measure each head and the ensemble, in place; validation on bins, too.

    Args:
        cfg: A training config.
        max_dets: As for VariantsMetric.

    Returns:
        What validation measures by.

    Raises:
        DataError: as `evaluator`.
    """
    files = {split: annotation_file(dataset_config(cfg[f"{split}_dataloader"])) for split in ("val", "test")}
    evaluators = {file: evaluator(file, max_dets) for file in dict.fromkeys(files.values())}  # the two are often one
    for split, file in files.items():
        cfg[f"{split}_evaluator"] = dict(evaluators[file], by_bin=True) if split == "val" else evaluators[file]
    if parallel_ratios(cfg):
        cfg.model.roi_head.keep_heads = True
    add_imports(cfg, "rgacli.evaluation.variants_metric")
    return validated_by(cfg)
