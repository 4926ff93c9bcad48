"""What every head says of the same boxes, before any NMS (paper, Sec. 4.3 and Fig. 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from torch import Tensor, nn

from rgacli.method import ENSEMBLE
from rgacli.modeling.ensembling import Combination, mean_logits
from rgacli.modeling.stages import class_scores, through_stages


@torch.no_grad()
def head_scores(
    roi_head: nn.Module, x: Sequence[Tensor], proposals: InstanceList, metas: list[dict]
) -> tuple[Tensor, ...]:
    """Return the class probabilities that each of the parallel heads gives to the same boxes.

    In a cascade these are the boxes of the ensemble, which it takes from stage to stage; a head's logits are averaged
    over the stages, as they are at test time. So the heads' mean logits are always the ensemble's.

    Args:
        roi_head: With `ParallelHeads`, in eval mode.
        x: Feature maps, each (B, C, H, W).
        proposals: Per image, `bboxes` (P, 4) xyxy in the input image's pixels.
        metas: mmdet's, per image.

    Returns:
        Per image (K, P, C+1), the background last.
    """
    boxes = [result.bboxes for result in proposals]
    rois, counts = bbox2roi(boxes), [len(own) for own in boxes]
    stages = roi_head.stages(x)
    heads = stages[-1].heads
    if not len(rois):
        return tuple(rois.new_zeros(len(heads), 0, heads[0].num_classes + 1) for _ in counts)
    by_stage: list[Tensor] = []

    def merge(cls_logits: Tensor) -> Tensor:  # (K, N, C+1) of each stage passes through here
        by_stage.append(cls_logits)
        return mean_logits(cls_logits)

    ensemble = Combination(tuple(range(len(heads))), merge, (roi_head.box_head,))
    through_stages(stages, {ENSEMBLE: ensemble}, rois, counts, metas)
    logits = torch.stack(by_stage).mean(dim=0)
    scores = torch.stack([_probabilities(head, own) for head, own in zip(heads, logits, strict=True)])
    return scores.split(counts, dim=1)


def scores_of_images(model: nn.Module, batches: Iterable[dict]) -> Iterator[tuple[int, Tensor]]:
    """Yield each image's id and what the heads say of its RPN proposals, as `head_scores` returns it.

    Args:
        model: A two-stage detector with parallel heads, in eval mode.
        batches: Of a test dataloader.
    """
    for batch in batches:
        with torch.no_grad():
            data = model.data_preprocessor(batch, False)
            samples = data["data_samples"]
            x = model.extract_feat(data["inputs"])
            proposals = model.rpn_head.predict(x, samples, rescale=False)
        found = head_scores(model.roi_head, x, proposals, [sample.metainfo for sample in samples])
        yield from zip((sample.metainfo["img_id"] for sample in samples), found, strict=True)


def _probabilities(head: nn.Module, cls_logits: Tensor) -> Tensor:
    """Return (N, C+1) of a head's logits, as mmdet's heads make them."""
    scores = class_scores(head, cls_logits)
    return scores if head.custom_activation else scores.softmax(dim=-1)
