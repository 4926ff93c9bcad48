"""Counting the positive proposals of a trained RPN, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from rgacli.analysis.forward import model_and_batches  # first: it makes mmdet importable

# isort: split
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor, nn

from rgacli.analysis.proposals.rows import Record
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.progress import Progress

POSITIVE_IOU = 0.5


def collect(
    detector: SplitDetections, checkpoint: Path | None = None, *, progress: Progress | None = None
) -> list[Record]:
    """Run a detector's RPN over a split and count its positive proposals, image by image.

    Args:
        detector: A two-stage detector, and the split.
        checkpoint: Other weights of the same detector.
        progress: Told of each image.

    Raises:
        UsageError, DataError: the checkpoint, the split or its annotations cannot be used.
    """
    truth = _boxes(detector.annotations)
    model, batches = model_and_batches(detector, checkpoint)
    records = []
    for record in count_positive_proposals(model, batches, truth):
        records.append(record)
        if progress:
            progress("proposals", len(records), len(batches.dataset))
    return records


def _boxes(annotations: Mapping[str, Any]) -> dict[int, Tensor]:
    """Return image id -> its non-crowd objects (G, 4), xyxy in pixels."""
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in annotations["images"]}
    for entry in annotations["annotations"]:
        if not entry.get("iscrowd") and entry["image_id"] in boxes:
            x, y, width, height = entry["bbox"]
            boxes[entry["image_id"]].append([x, y, x + width, y + height])
    return {image: torch.tensor(found, dtype=torch.float32).reshape(-1, 4) for image, found in boxes.items()}


@torch.no_grad()
def count_positive_proposals(
    model: nn.Module, batches: Iterable[dict], boxes: Mapping[int, Tensor]
) -> Iterator[Record]:
    """Count how many of the proposals that the RPN passes on are positive: IoU >= 0.5 with any object (Fig. 1b).

    Args:
        model: A two-stage detector, in eval mode.
        batches: Of a test dataloader.
        boxes: Image id -> ground truth (G, 4), xyxy in the original image's pixels.

    Yields:
        Per image, a record.
    """
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        features = model.extract_feat(data["inputs"])
        found = model.rpn_head.predict(features, data["data_samples"], rescale=True)
        for sample, proposals in zip(data["data_samples"], found, strict=True):
            image_id = sample.metainfo["img_id"]
            truth = boxes[image_id].to(proposals.bboxes.device)
            overlaps = bbox_overlaps(proposals.bboxes, truth)
            positives = (overlaps >= POSITIVE_IOU).any(dim=1).sum() if len(truth) else 0
            yield {
                "image_id": image_id,
                "gt_count": len(truth),
                "proposals": len(proposals.bboxes),
                "positives": int(positives),
            }
