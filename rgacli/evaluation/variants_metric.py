"""COCO AP of every variant (each head, the ensemble) as an mmengine metric, with the detections on disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from rgacli.core.recipe import add_imports
from rgacli.data.annotations import load_annotations
from rgacli.data.binding import annotation_file, dataset_config
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.results import save_results

WHOLE = "detector"
"""The only variant of a detector without parallel heads."""


@METRICS.register_module()
class VariantsCocoMetric(BaseMetric):
    """AP, AP50, AP75, APs, APm and APl of every variant that the model left in its data samples.

    A model that leaves none (`keep_heads` off, or any other detector) is evaluated by its prediction alone.

    Args:
        ann_file: COCO annotations of the evaluated split.
        out_dir: Where to save `<variant>.json` in COCO's results format; not saved without.
        **kwargs: As for BaseMetric.
    """

    default_prefix = "coco"

    def __init__(self, ann_file: str, out_dir: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file = Path(ann_file)
        self.out_dir = Path(out_dir) if out_dir else None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the detections of one batch, as COCO results."""
        category_of = self._category_ids()
        for sample in data_samples:
            variants = sample.get("head_instances") or {WHOLE: sample["pred_instances"]}
            self.results.append(
                {name: _coco_results(sample["img_id"], found, category_of) for name, found in variants.items()}
            )

    def compute_metrics(self, results: list[dict[str, list[dict]]]) -> dict[str, float]:
        """ "<variant>/AP" and so on, for all images of the split."""
        metrics = {}
        for name in results[0] if results else ():
            detections = [detection for image in results for detection in image[name]]
            if self.out_dir:
                save_results(self.out_dir / f"{name}.json", detections)
            overall = evaluate(self.annotations, detections).overall
            metrics.update({f"{name}/{key}": value for key, value in overall.items()})
        return metrics

    def _category_ids(self) -> list[int]:
        """Label -> category id, as mmdet's CocoDataset numbers them: in the annotation file's order."""
        return [
            category["id"]
            for category in self.annotations["categories"]
            if category["name"] in self.dataset_meta["classes"]
        ]

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """The ground truth, read once."""
        return load_annotations(self.ann_file)


def evaluate_variants(cfg: Config) -> None:
    """Makes the config's validation and test use VariantsCocoMetric, for each head and the ensemble, in place."""
    for split in ("val", "test"):
        annotations = annotation_file(dataset_config(cfg[f"{split}_dataloader"]))
        cfg[f"{split}_evaluator"] = dict(type="VariantsCocoMetric", ann_file=annotations)
    cfg.model.roi_head.keep_heads = True
    add_imports(cfg, "rgacli.evaluation.variants_metric")


def _coco_results(image_id: int, instances: dict, category_of: list[int]) -> list[dict]:
    boxes = instances["bboxes"].cpu().double()
    boxes[:, 2:] -= boxes[:, :2]  # xyxy -> xywh
    columns = zip(boxes.tolist(), instances["scores"].tolist(), instances["labels"].tolist(), strict=True)
    return [
        {"image_id": image_id, "category_id": category_of[label], "bbox": box, "score": score}
        for box, score, label in columns
    ]
