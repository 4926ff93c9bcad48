"""mmdet's `predict_by_feat` for a batch, and for all variants (heads and combinations) at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from rgacli.modeling.batched.boxes import decode, take
from rgacli.modeling.batched.suppression import keep, keep_unless_deep
from rgacli.modeling.batched.truth import per_image


class VariantOutput(NamedTuple):
    """What a variant has after the last stage.

    Its boxes as they came to that stage (N, 5), its logits averaged over the stages (N, C+1), and the box regression
    of each of its box heads at that stage.
    """

    rois: Tensor
    logits: Tensor
    bbox_preds: dict[int, Any]


# On a trained detector, chains of detections that suppress the next have 4 to 12 links (see `suppression.keep`).
_ROUNDS = 16
# Detections looked at in an image, the best of all boxes and classes; more only where these do not settle the result.
_CANDIDATES = 1024


def detections(
    heads: Sequence[nn.Module],
    outputs: Mapping[str, VariantOutput],
    valid: Tensor,
    metas: Sequence[dict],
    cfg: ConfigType,
    rescale: bool,
) -> dict[str, InstanceList]:
    """Return boxes of every variant.

    Args:
        heads: The K heads.
        outputs: Variant -> what it has after the last stage, of B·P boxes.
        valid: (B, P) bool, which of them are no padding.
        metas: mmdet's, per image.
        cfg: mmdet's `test_cfg.rcnn`.
        rescale: Whether boxes are wanted in the original image's pixels.

    Returns:
        Variant -> per image `bboxes` (D, 4) xyxy, `scores` (D,) and `labels` (D,).
    """
    images, number = valid.shape
    logits = _stacked([output.logits for output in outputs.values()])
    scores = logits.softmax(dim=-1)[..., :-1].unflatten(1, (images, number))  # (V, B, P, C)
    counts = (scores > cfg.score_thr) & valid[..., None]
    scores = scores.masked_fill(~counts, -1).flatten(2)  # (V, B, P·C)
    candidates = counts.flatten(2).sum(dim=-1)
    geometry = _geometry(metas, scores, rescale)
    size, suppress = min(_CANDIDATES, scores.size(-1)), partial(keep_unless_deep, rounds=_ROUNDS)
    while True:
        best, index = scores.topk(size)
        own = zip(outputs.values(), index, strict=True)
        boxes = _stacked([_boxes(heads, output, places, geometry) for output, places in own])
        found, most = _suppressed(best, index % heads[0].num_classes, boxes, candidates, cfg, suppress)
        if not most:
            break
        size, suppress = min(4 * size, most), _keep
    results = iter(found)
    return {variant: [next(results) for _ in range(images)] for variant in outputs}


def _suppressed(
    scores: Tensor,
    labels: Tensor,
    boxes: Tensor,
    candidates: Tensor,
    cfg: ConfigType,
    suppress: Callable[..., tuple[Tensor, Tensor]],
) -> tuple[list[InstanceData], int]:
    """Return the detections of every variant's images, and how many candidates an image has that may change them.

    That is 0 if all were looked at, or as many survive as are wanted: those that were not looked at score less.
    """
    scores, labels, boxes = scores.flatten(0, 1), labels.flatten(0, 1), boxes.flatten(0, 1)  # (V·B, T)
    kept, is_right = suppress(boxes, scores >= 0, cfg.nms.iou_threshold, labels)
    wanted = cfg.max_per_img if cfg.max_per_img > 0 else scores.size(1) + 1
    best, order = scores.masked_fill(~kept, -1).topk(min(wanted, scores.size(1)))
    numbers = torch.stack([(best >= 0).sum(dim=1), candidates.flatten(), is_right.expand(len(best))])
    counts, totals, are_right = numbers.tolist()  # the only wait
    is_settled = all(are_right) and all(
        found >= wanted or total <= scores.size(1) for found, total in zip(counts, totals, strict=True)
    )
    boxes, labels = take(boxes, order), labels.gather(1, order)
    results = [
        InstanceData(bboxes=own_boxes[:number], scores=own_scores[:number], labels=own_labels[:number])
        for own_boxes, own_scores, own_labels, number in zip(boxes, best, labels, counts, strict=True)
    ]
    return results, 0 if is_settled else max(totals)


def _keep(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor) -> tuple[Tensor, Tensor]:
    return keep(boxes, valid, threshold, labels), valid.new_ones(())


def _boxes(
    heads: Sequence[nn.Module], output: VariantOutput, index: Tensor, geometry: tuple[Tensor, Tensor | None]
) -> Tensor:
    """Return the candidates' boxes (B, T, 4), averaged over a variant's box heads.

    Args:
        heads: All heads.
        output: The variant's.
        index: (B, T) of P·C: box and class.
        geometry: As `_geometry` returns it.
    """
    images = len(index)
    proposal = index // heads[0].num_classes
    starts = take(output.rois[:, 1:].unflatten(0, (images, -1)), proposal)
    limits, scale = geometry
    by_head = []
    for k, bbox_pred in output.bbox_preds.items():
        place = proposal if heads[k].reg_class_agnostic else index
        deltas = take(bbox_pred.view(images, -1, 4), place)
        by_head.append(decode(heads[k].bbox_coder, starts, deltas, limits))
    boxes = by_head[0] if len(by_head) == 1 else torch.stack(by_head).mean(dim=0)
    return boxes if scale is None else boxes * scale


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return torch.stack's result, without a copy of a single one."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))


def _geometry(metas: Sequence[dict], like: Tensor, rescale: bool) -> tuple[Tensor, Tensor | None]:
    """Return the images' width, height, width, height (B, 1, 4), and what scales boxes to their original pixels."""
    rows: list[list[Any]] = []
    for meta in metas:
        height, width = meta["img_shape"][:2]
        scale = [1 / factor for factor in meta["scale_factor"]] if rescale else []
        rows.append([width, height, width, height, *scale, *scale])
    numbers = per_image(rows, like)[:, None]
    return numbers[..., :4], numbers[..., 4:] if rescale else None
