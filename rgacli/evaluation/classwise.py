"""AP of each class: what hides behind a mean over classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgacli.evaluation.coco_metrics import Evaluation


@dataclass(frozen=True)
class ClassMetrics:
    """One class, by every head that is looked at.

    Attributes:
        name: The class.
        images: Number of images that have objects of it.
        objects: Number of its non-crowd objects.
        heads: Head -> AP and AP50 of boxes and, where it has them, mask_AP and mask_AP50, in [0, 1]; NaN without
            objects.
    """

    name: str
    images: int
    objects: int
    heads: Mapping[str, Mapping[str, float]]


def by_class(
    annotations: Mapping[str, Any], boxes: Mapping[str, Evaluation], masks: Mapping[str, Evaluation] | None = None
) -> list[ClassMetrics]:
    """Return every class, by rising category id.

    Args:
        annotations: The COCO dict that was evaluated on.
        boxes: Head -> its boxes, evaluated.
        masks: Of heads that have masks, those.
    """
    metrics = {head: _metrics(evaluation) for head, evaluation in boxes.items()}
    for head, evaluation in (masks or {}).items():
        for own, of_masks in zip(metrics[head], _metrics(evaluation, "mask_"), strict=True):
            own.update(of_masks)
    listed = {image["id"] for image in annotations["images"]}
    objects = [
        (entry["category_id"], entry["image_id"])
        for entry in annotations["annotations"]
        if entry["image_id"] in listed and not entry.get("iscrowd")
    ]
    of_class, in_images = (Counter(category for category, _ in found) for found in (objects, set(objects)))
    categories = sorted(annotations["categories"], key=lambda category: category["id"])
    return [
        ClassMetrics(
            name=category["name"],
            images=in_images[category["id"]],
            objects=of_class[category["id"]],
            heads={head: by_index[index] for head, by_index in metrics.items()},
        )
        for index, category in enumerate(categories)
    ]


def _metrics(evaluation: Evaluation, prefix: str = "") -> list[dict[str, float]]:
    """Return metric -> value of each class: precision, averaged over recall and, for AP, over IoU thresholds."""
    precision = evaluation.precision.mean(axis=1)  # a class has all its values or none
    return [
        {f"{prefix}AP": float(ap), f"{prefix}AP50": float(ap50)}
        for ap, ap50 in zip(np.mean(precision, axis=0), precision[0], strict=True)
    ]
