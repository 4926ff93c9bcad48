"""What mmdet's samplers, bbox heads and mask heads do, written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from mmdet.models.roi_heads import SABLHead
from mmdet.models.task_modules import MaxIoUAssigner, SamplingResult
from mmdet.structures import DetDataSample
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import batched_nms

from tests.support import tiny


def hardest(
    assigner: MaxIoUAssigner,
    objects: InstanceData,
    boxes: Tensor,
    losses_of: Callable[[Tensor, Tensor], Tensor],
    positives: int,
    num: int = 16,
) -> tuple[set[int], set[int]]:
    """The positives and negatives of highest loss among an image's objects and then its proposals.

    Args:
        assigner: mmdet's.
        objects: `bboxes` (G, 4) and `labels` (G,).
        boxes: (P, 4), the proposals.
        losses_of: Boxes (G + P, 4) and their labels to their losses.
        positives: How many positives are sampled at most.
        num: How many boxes are sampled.
    """
    assigned = assigner.assign(InstanceData(priors=boxes), objects)
    labels = torch.where(assigned.gt_inds > 0, assigned.labels, tiny.CLASSES)
    labels = torch.cat([objects.labels, labels])
    ranked = losses_of(torch.cat([objects.bboxes, boxes]), labels).argsort(descending=True)
    is_positive = labels[ranked] < tiny.CLASSES
    chosen = ranked[is_positive][:positives]
    return set(chosen.tolist()), set(ranked[~is_positive][: num - len(chosen)].tolist())


def classification_losses(
    bbox_head: nn.Module, extractor: nn.Module, x: tuple[Tensor, ...], image: int, boxes: Tensor, labels: Tensor
) -> Tensor:
    """(N,), the cross entropy of each of an image's boxes (N, 4) at its label (N,)."""
    with torch.no_grad():
        logits, _ = bbox_head(extractor(x, rois_of(image, boxes)))
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def rois_of(image: int, boxes: Tensor) -> Tensor:
    """(N, 5) of one image's boxes (N, 4)."""
    return torch.cat([boxes.new_full((len(boxes), 1), image), boxes], dim=1)


def refined_by_hand(head: nn.Module, rois: Tensor, labels: Tensor, deltas: Tensor) -> Tensor:
    """Rois (N, 5) moved by the regression for their labels (N,), or by the only one where there is one for all."""
    each = deltas.view(len(rois), -1, 4)
    own = each[torch.arange(len(rois)), labels if each.size(1) > 1 else 0]
    boxes = head.bbox_coder.decode(rois[:, 1:], own, max_shape=(tiny.SIZE, tiny.SIZE))
    return torch.cat([rois[:, :1], boxes], dim=1)


def assert_detected(
    found: InstanceList, test_cfg: ConfigDict, head: nn.Module, rois: Tensor, probabilities: Tensor, deltas: Tensor
) -> None:
    """That the detections are what the outputs (N, …) on rois (N, 5) yield: class-wise NMS in each image, best first.

    Args:
        found: Per image.
        test_cfg: mmdet's `test_cfg.rcnn`.
        head: A bbox head, for how it encodes boxes.
        rois: (N, 5), image index and xyxy.
        probabilities: (N, C+1), background last.
        deltas: (N, 4·C), or (N, 4) where all classes share them.
    """
    for i, instances in enumerate(found):
        candidate, labels = ((probabilities[:, :-1] > test_cfg.score_thr) & (rois[:, :1] == i)).nonzero(as_tuple=True)
        bboxes = refined_by_hand(head, rois[candidate], labels, deltas[candidate])[:, 1:]
        scores = probabilities[candidate, labels]
        keep = batched_nms(bboxes, scores, labels, test_cfg.nms.iou_threshold)[: test_cfg.max_per_img]
        assert 5 < len(keep) < len(bboxes)  # else this would test little
        torch.testing.assert_close(instances.scores, scores[keep])
        torch.testing.assert_close(instances.bboxes, bboxes[keep])
        assert torch.equal(instances.labels, labels[keep])


def detected_by_sabl(
    test_cfg: ConfigDict, head: SABLHead, samples: list[DetDataSample], rois: Tensor, logits: Tensor, buckets: tuple
) -> InstanceList:
    """What mmdet makes of a SABL head's outputs, per image; arguments as for `assert_detected`."""
    images = [rois[:, 0] == i for i in range(len(samples))]
    return head.predict_by_feat(
        rois=[rois[own] for own in images],
        cls_scores=[logits[own] for own in images],
        bbox_preds=[tuple(part[own] for part in buckets) for own in images],
        batch_img_metas=[sample.metainfo for sample in samples],
        rcnn_test_cfg=test_cfg,
    )


def mask_loss_by_hand(logits: Tensor, samples: list[DetDataSample], sampling_results: list[SamplingResult]) -> Tensor:
    """Binary cross entropy of mask logits (P, C, h, w) on the sampled positives, each at its own class."""
    targets = [
        sample.gt_instances.masks.crop_and_resize(
            result.pos_priors.numpy(), logits.shape[-2:], result.pos_assigned_gt_inds.numpy()
        ).masks
        for sample, result in zip(samples, sampling_results, strict=True)
    ]
    own = logits[torch.arange(len(logits)), torch.cat([result.pos_gt_labels for result in sampling_results])]
    return nn.functional.binary_cross_entropy_with_logits(own, torch.from_numpy(np.concatenate(targets)).float())
