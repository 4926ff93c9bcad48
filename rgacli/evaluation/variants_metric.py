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
from rgacli.data.annotations import Annotations, has_masks, is_crowdhuman, load_annotations
from rgacli.data.crowdhuman import official_records
from rgacli.data.odgt import Record
from rgacli.evaluation import coco_metrics, crowdhuman_metrics
from rgacli.evaluation.detections import detections_by_variant
from rgacli.evaluation.results import coco_results, encode_masks, save_results

_MASK_METRICS = ("AP", "AP50", "AP75")


@METRICS.register_module()
class VariantsMetric(BaseMetric):
    """Collects the detections of every variant that the model left in its data samples, and measures nothing.

    A model that leaves none (`keep_heads` off, or any other detector) has its prediction for its only variant.

    Args:
        ann_file: COCO annotations of the split; here, only its images and categories are read.
        out_dir: Where to save `<variant>.json` in COCO's results format; not saved without.
        **kwargs: As for BaseMetric.
    """

    default_prefix = "variants"

    def __init__(self, ann_file: str, out_dir: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file = Path(ann_file)
        self.out_dir = Path(out_dir) if out_dir else None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the detections of one batch."""
        for sample in data_samples:
            found: dict[str, dict[str, Any]] = detections_by_variant(sample)
            for instances in found.values():
                if "masks" in instances:
                    instances["masks"] = encode_masks(instances["masks"])  # far smaller, as all images are kept
            self.results.append((sample["img_id"], found))

    def compute_metrics(self, results: list[tuple[int, dict[str, dict]]]) -> dict[str, float]:
        """ "<variant>/<metric>" -> its value, over all images of the split."""
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
            measured = self.measure(detections, masks="masks" in results[0][1][name])
            metrics.update({f"{name}/{key}": value for key, value in measured.items()})
        return metrics

    def measure(self, detections: list[dict[str, Any]], masks: bool) -> dict[str, float]:
        """What one variant's detections are worth: metric -> value.

        Args:
            detections: In COCO's results format, of all images.
            masks: Whether they have masks ("segmentation").
        """
        return {}

    @cached_property
    def annotations(self) -> Annotations:
        """The split's annotations of the dataset's classes, read once."""
        return load_annotations(self.ann_file, labelled=False, classes=self.dataset_meta["classes"])


@METRICS.register_module()
class VariantsCocoMetric(VariantsMetric):
    """COCO's AP, AP50, AP75, APs, APm and APl of every variant's boxes; mask_AP, mask_AP50, mask_AP75 of its masks."""

    default_prefix = "coco"

    def measure(self, detections: list[dict[str, Any]], masks: bool) -> dict[str, float]:
        """As VariantsMetric's."""
        metrics = coco_metrics.evaluate(self.annotations, detections).overall
        if masks and has_masks(self.annotations):
            of_masks = coco_metrics.evaluate(self.annotations, detections, masks=True).overall
            metrics = metrics | {f"mask_{key}": of_masks[key] for key in _MASK_METRICS}
        return metrics


@METRICS.register_module()
class VariantsCrowdHumanMetric(VariantsMetric):
    """CrowdHuman's mMR, AP50 and JI of every variant; `ann_file` as `rgacli.data.crowdhuman.prepare` wrote it."""

    default_prefix = "crowdhuman"

    def measure(self, detections: list[dict[str, Any]], masks: bool) -> dict[str, float]:
        """As VariantsMetric's."""
        return crowdhuman_metrics.evaluate(self.annotations, self._records, detections)

    @cached_property
    def _records(self) -> list[Record]:
        """The official annotations, read once."""
        return official_records(self.annotations, self.ann_file)


def evaluator(ann_file: str) -> dict[str, str]:
    """The config of what measures a split: CrowdHuman's metrics where its annotations are of CrowdHuman, else COCO's.

    Raises:
        DataError: the annotations cannot be read, or CrowdHuman's official ones are not there or do not fit them.
    """
    annotations = load_annotations(Path(ann_file))
    if not is_crowdhuman(annotations):
        return dict(type="VariantsCocoMetric", ann_file=ann_file)
    official_records(annotations, Path(ann_file))  # refuses what cannot be measured before the work
    return dict(type="VariantsCrowdHumanMetric", ann_file=ann_file)


def evaluate_variants(cfg: Config) -> None:
    """Makes the config's validation and test measure each head and the ensemble, in place.

    Raises:
        DataError: as `evaluator`.
    """
    files = {split: annotation_file(dataset_config(cfg[f"{split}_dataloader"])) for split in ("val", "test")}
    evaluators = {file: evaluator(file) for file in dict.fromkeys(files.values())}  # the two are often one
    for split, file in files.items():
        cfg[f"{split}_evaluator"] = evaluators[file]
    if parallel_ratios(cfg):
        cfg.model.roi_head.keep_heads = True
    add_imports(cfg, "rgacli.evaluation.variants_metric")
