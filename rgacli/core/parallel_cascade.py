"""Parallel R-CNN Modules for the cascade RoI head: Cascade R-CNN and Cascade Mask R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi, get_box_tensor
from mmdet.utils import ConfigType, InstanceList
from mmengine.model import ModuleList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from rgacli.core.drawing import Draws, draw, ground_truth_flags, union_of_draws
from rgacli.core.parallel_heads import (
    HeadOutput,
    ParallelHeads,
    class_scores,
    no_detections,
    rows_of,
    split_by_image,
)


@MODELS.register_module()
class ParallelCascadeRoIHead(ParallelHeads, CascadeRoIHead):
    """mmdet's CascadeRoIHead with K bbox heads at every stage, `bbox_head[stage][k]`.

    In training, each stage assigns once per image, every head of it draws its own RoIs, and the union of the draws,
    refined by the head with the highest positive fraction, is what the next stage draws from. (The union and not
    that head's draw alone, so that a head of few positives finds its negatives at later stages, too. With one head
    both are the same.)

    At test time a stage's logits are averaged over its heads and then, as mmdet does, over the stages; the boxes go
    on as the head with the highest positive fraction refines them. A head alone passes through all stages by its
    own logits and boxes. With one head at the config's own ratio this is mmdet's CascadeRoIHead.

    Args:
        bbox_head: One config for all stages, or a list of one per stage, each for all K heads or a list of K.
        ratios, sampling, keep_heads: As for ParallelHeads.
        **kwargs: As for CascadeRoIHead.
    """

    def init_bbox_head(self, bbox_roi_extractor: Any, bbox_head: Any) -> None:
        """Builds a RoI extractor and K heads for every stage."""
        extractors = _per_stage(bbox_roi_extractor, self.num_stages, "RoI extractors")
        self.bbox_roi_extractor = ModuleList(MODELS.build(config) for config in extractors)
        heads = _per_stage(bbox_head, self.num_stages, "bbox heads")
        self.bbox_head = ModuleList(self._build_heads(config) for config in heads)

    def init_assigner_sampler(self) -> None:
        """Builds for every stage one assigner, and one sampler per head."""
        self.bbox_assigner, self.bbox_samplers = [], []
        for stage, train_cfg in enumerate(self.train_cfg or ()):
            self.bbox_assigner.append(TASK_UTILS.build(train_cfg.assigner))
            features = partial(self._roi_features, stage)
            self.bbox_samplers.append(self._build_samplers(train_cfg.sampler, self.bbox_head[stage], features))

    def loss(self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList) -> dict:
        """Losses and draw statistics of every stage's heads, by keys such as "s0.1to9.loss_cls".

        Args:
            x: Feature maps, each (B, C, H, W).
            rpn_results_list: Proposals per image; `bboxes` (P, 4) xyxy in the input image's pixels.
            batch_data_samples: Ground truth per image.
        """
        gts, gts_ignored, metas = unpack_gt_instances(batch_data_samples)
        proposals: InstanceList | None = rpn_results_list
        losses = {}
        for stage, weight in enumerate(self.stage_loss_weights):
            draws = draw(self.bbox_assigner[stage], self.bbox_samplers[stage], x, proposals, gts, gts_ignored)
            found, proposals = self._stage_losses(stage, x, draws, metas)
            if self.with_mask:
                found |= self.mask_loss(stage, x, draws[self.box_head], gts)["loss_mask"]
            for name, value in found.items():
                losses[f"s{stage}.{name}"] = value * weight if "loss" in name else value
            if proposals is None:  # nothing was drawn at all
                break
        return losses

    def _stage_losses(
        self, stage: int, x: tuple[Tensor, ...], draws: Draws, metas: list[dict]
    ) -> tuple[dict[str, Tensor], InstanceList | None]:
        """Losses and statistics of a stage's heads, and the boxes that go to the next stage (none after the last)."""
        rois, indices = union_of_draws(draws)
        features = self._roi_features(stage, x, rois)
        refines = stage < self.num_stages - 1
        refining: HeadOutput = (None, None)
        labels = rois.new_full((len(rois),), self._refiner(stage).num_classes, dtype=torch.long)
        losses = {}
        for k, (head, index) in enumerate(zip(self.bbox_head[stage], indices, strict=True)):
            if refines and k == self.box_head:
                refining = head(features)
                output = refining[0][index], rows_of(refining[1], index)
            else:
                output = head(features[index])
            found, own_labels = self._head_losses(k, head, output, rois[index], draws[k], self.train_cfg[stage])
            losses.update(found)
            labels[index] = own_labels
        if not refines:
            return losses, []
        flags = ground_truth_flags(draws, indices, len(rois))
        with torch.no_grad():
            return losses, self._refiner(stage).refine_bboxes(
                # mmdet drops the RoIs flagged here: ground truth is added anew by the next stage's samplers.
                [InstanceData(pos_is_gt=flags[rois[:, 0] == i]) for i in range(len(metas))],
                dict(rois=rois, cls_score=refining[0], bbox_pred=refining[1], bbox_targets=(labels,)),
                metas,
            )

    def predict_variants(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigType,
        rescale: bool,
        variants: Sequence[str],
    ) -> dict[str, InstanceList]:
        """As ParallelHeads': where variants look at the same boxes, features are cropped and heads run once."""
        proposals = [result.bboxes for result in rpn_results_list]
        rois, counts = bbox2roi(proposals), [len(boxes) for boxes in proposals]
        if not len(rois):
            head = self._refiner(-1)
            return {v: no_detections(head, batch_img_metas, rcnn_test_cfg, rois.device) for v in variants}
        found = {}
        for variant, (last_rois, logits, bbox_pred) in self._through_stages(
            x, rois, counts, batch_img_metas, variants
        ).items():
            head = self.bbox_head[-1][self._box_head_of(variant)]
            found[variant] = head.predict_by_feat(
                rois=last_rois.split(counts),
                cls_scores=logits.split(counts),
                bbox_preds=split_by_image(head, bbox_pred, counts),
                batch_img_metas=batch_img_metas,
                rcnn_test_cfg=rcnn_test_cfg,
                rescale=rescale,
            )
        return found

    def forward(
        self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList
    ) -> tuple[Any, ...]:
        """The ensemble's raw outputs, as mmdet's FLOPs and graph tools ask for them: logits, boxes, masks per stage."""
        proposals = [result.bboxes for result in rpn_results_list]
        metas, counts = [sample.metainfo for sample in batch_data_samples], [len(boxes) for boxes in proposals]
        last = self.variants[-1]
        rois, *outputs = self._through_stages(x, bbox2roi(proposals), counts, metas, [last])[last]
        if self.with_mask:
            outputs += [self._mask_forward(stage, x, rois)["mask_preds"] for stage in range(self.num_stages)]
        return tuple(outputs)

    def _through_stages(
        self,
        x: tuple[Tensor, ...],
        rois: Tensor,
        counts: list[int],
        metas: list[dict],
        variants: Sequence[str],
    ) -> dict[str, tuple[Tensor, Tensor, Any]]:
        """Variant -> its boxes at the last stage (N, 5), its logits averaged over stages, its last box regression."""
        boxes = dict.fromkeys(variants, rois)
        logits: dict[str, list[Tensor]] = {variant: [] for variant in variants}
        for stage in range(self.num_stages):
            outputs = self._stage_outputs(stage, x, boxes)
            for variant, (cls_score, _) in outputs.items():
                logits[variant].append(cls_score)
            if stage < self.num_stages - 1:
                boxes = self._refined(stage, boxes, outputs, counts, metas)
        return {
            variant: (boxes[variant], sum(logits[variant]) / float(self.num_stages), outputs[variant][1])
            for variant in variants
        }

    def _stage_outputs(self, stage: int, x: tuple[Tensor, ...], boxes: dict[str, Tensor]) -> dict[str, HeadOutput]:
        """Each variant's logits and box regression on its own boxes."""
        by_boxes: dict[int, list[str]] = {}
        for variant, rois in boxes.items():
            by_boxes.setdefault(id(rois), []).append(variant)
        outputs = {}
        for sharing in by_boxes.values():
            features = self._roi_features(stage, x, boxes[sharing[0]])
            needed = sorted({k for variant in sharing for k in self._heads_behind(variant)})
            by_head = {k: self.bbox_head[stage][k](features) for k in needed}
            outputs.update({variant: self._variant_output(variant, by_head) for variant in sharing})
        return {variant: outputs[variant] for variant in boxes}

    def _refined(
        self,
        stage: int,
        boxes: dict[str, Tensor],
        outputs: dict[str, HeadOutput],
        counts: list[int],
        metas: list[dict],
    ) -> dict[str, Tensor]:
        """The boxes that each variant takes to the next stage: one tensor where they are the same."""
        refined: dict[tuple, Tensor] = {}
        keys = {}
        for variant, rois in boxes.items():
            index = self._box_head_of(variant)
            head = self.bbox_head[stage][index]
            # A class-agnostic regressor does not ask which class the logits say.
            keys[variant] = (id(rois), index, None if head.reg_class_agnostic else variant)
            if keys[variant] not in refined:
                refined[keys[variant]] = _regress(head, rois, *outputs[variant], counts, metas)
        return {variant: refined[key] for variant, key in keys.items()}

    def _refiner(self, stage: int) -> nn.Module:
        """The head of a stage whose boxes the ensemble takes."""
        return self.bbox_head[stage][self.box_head]

    def _roi_features(self, stage: int, x: Sequence[Tensor], rois: Tensor) -> Tensor:
        """RoI features (N, C, 7, 7) of rois (N, 5)."""
        extractor = self.bbox_roi_extractor[stage]
        return extractor(x[: extractor.num_inputs], rois)


def _per_stage(config: Any, stages: int, what: str) -> list[Any]:
    configs = list(config) if isinstance(config, (list, tuple)) else [config] * stages
    if len(configs) != stages:
        raise ValueError(f"{len(configs)} {what} for {stages} stages")
    return configs


def _regress(
    head: nn.Module, rois: Tensor, cls_score: Tensor, bbox_pred: Any, counts: list[int], metas: list[dict]
) -> Tensor:
    """Boxes (N, 5) as the head refines them, of the class that the logits say where it regresses by class."""
    labels = class_scores(head, cls_score)[:, :-1].argmax(dim=1)
    images = zip(rois.split(counts), labels.split(counts), split_by_image(head, bbox_pred, counts), metas, strict=True)
    boxes = [
        torch.cat([own[:, :1], get_box_tensor(head.regress_by_class(own[:, 1:], label, deltas, meta))], dim=1)
        for own, label, deltas, meta in images
    ]
    return torch.cat(boxes)
