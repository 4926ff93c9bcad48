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
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from mmengine.model import ModuleList
from mmengine.structures import InstanceData
from torch import Tensor

from rgacli.modeling.label_and_sample import SamplingResults, gt_flags, label_and_sample, union_of_rois
from rgacli.modeling.parallel_heads import ParallelHeads
from rgacli.modeling.refinement import outputs_on_union
from rgacli.modeling.roi_crop import crop
from rgacli.modeling.stages import HeadOutput, Stage, through_stages


@MODELS.register_module()
class ParallelCascadeRoIHead(ParallelHeads, CascadeRoIHead):
    """mmdet's CascadeRoIHead with K bbox heads at every stage, `bbox_head[stage][k]`.

    In training, each stage assigns once per image, every head of it samples its own RoIs and learns from those alone,
    and the union of the samples, refined by the head with the highest positive fraction, is what the next stage samples
    from. (The union and not that head's sample alone, so that a head of few positives finds its negatives at later
    stages, too. With one head both are the same.) RoIs that the refining head did not sample it refines as at test
    time, its norm layers by their running statistics, which it leaves as they are; see `outputs_on_union`.

    At test time a stage's logits are averaged over its heads and then, as mmdet does, over the stages; the boxes go
    on as the head with the highest positive fraction refines them. A head alone passes through all stages by its
    own logits and boxes. With one head at the config's own ratio this is mmdet's CascadeRoIHead.

    Args:
        bbox_head: One config for all stages, or a list of one per stage, each for all K heads or a list of K.
        ratios, sampling, head_loss, draws, keep_heads, methods: As for ParallelHeads.
        **kwargs: As for CascadeRoIHead.
    """

    def init_bbox_head(self, bbox_roi_extractor: Any, bbox_head: Any) -> None:
        """Build a RoI extractor and K heads for every stage."""
        extractors = _per_stage(bbox_roi_extractor, self.num_stages, "RoI extractors")
        self.bbox_roi_extractor = ModuleList(MODELS.build(config) for config in extractors)
        heads = _per_stage(bbox_head, self.num_stages, "bbox heads")
        self.bbox_head = ModuleList(self._build_heads(config) for config in heads)

    def init_assigner_sampler(self) -> None:
        """Build for every stage one assigner, and one sampler per head."""
        self.bbox_assigner, self.bbox_samplers = [], []
        for stage, train_cfg in enumerate(self.train_cfg or ()):
            self.bbox_assigner.append(TASK_UTILS.build(train_cfg.assigner))
            features = partial(self._roi_features, stage)
            self.bbox_samplers.append(self._build_samplers(train_cfg.sampler, self.bbox_head[stage], features))

    def loss(self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList) -> dict:
        """Return losses and statistics of every stage's heads, by keys such as "s0.1to9.loss_cls".

        Args:
            x: Feature maps, each (B, C, H, W).
            rpn_results_list: Proposals per image; `bboxes` (P, 4) xyxy in the input image's pixels.
            batch_data_samples: Ground truth per image.
        """
        gts, gts_ignored, metas = unpack_gt_instances(batch_data_samples)
        proposals: InstanceList | None = rpn_results_list
        losses = {}
        for stage, weight in enumerate(self.stage_loss_weights):
            sampling_results = label_and_sample(
                self.bbox_assigner[stage], self.bbox_samplers[stage], x, proposals, gts, gts_ignored
            )
            found, proposals = self._stage_losses(stage, x, sampling_results, metas)
            if self.with_mask:
                found |= self.mask_loss(stage, x, sampling_results[self.box_head], gts)["loss_mask"]
            for name, value in found.items():
                losses[f"s{stage}.{name}"] = value * weight if "loss" in name else value
            if proposals is None:  # nothing was sampled at all
                break
        return losses

    def _stage_losses(
        self, stage: int, x: tuple[Tensor, ...], sampling_results: SamplingResults, metas: list[dict]
    ) -> tuple[dict[str, Tensor], InstanceList | None]:
        """Return losses and statistics of a stage's heads, and boxes for the next stage (none after the last)."""
        rois, indices = union_of_rois(sampling_results)
        features = self._roi_features(stage, x, rois)
        refiner = self.bbox_head[stage][self.box_head]
        labels = rois.new_full((len(rois),), refiner.num_classes, dtype=torch.long)
        losses, outputs = {}, []
        for k, (head, index) in enumerate(zip(self.bbox_head[stage], indices, strict=True)):
            outputs.append(head(features[index]))
            found, own_labels = self._head_losses(
                k, head, outputs[k], rois[index], sampling_results[k], self.train_cfg[stage]
            )
            losses.update(found)
            labels[index] = own_labels
        if stage == self.num_stages - 1:
            return losses, []
        cls_score, bbox_pred = outputs_on_union(refiner, features, indices[self.box_head], outputs[self.box_head])
        flags = gt_flags(sampling_results, indices, len(rois))
        with torch.no_grad():
            return losses, refiner.refine_bboxes(
                # mmdet drops the RoIs flagged here: ground truth is added anew by the next stage's samplers.
                [InstanceData(pos_is_gt=flags[rois[:, 0] == i]) for i in range(len(metas))],
                dict(rois=rois, cls_score=cls_score, bbox_pred=bbox_pred, bbox_targets=(labels,)),
                metas,
            )

    def forward(
        self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList
    ) -> tuple[Any, ...]:
        """Return the ensemble's raw outputs, as mmdet's graph tools ask for them: logits, boxes, masks per stage."""
        proposals = [result.bboxes for result in rpn_results_list]
        metas, counts = [sample.metainfo for sample in batch_data_samples], [len(boxes) for boxes in proposals]
        last = self.variants[-1]
        found = through_stages(self.stages(x), {last: self._combination(last)}, bbox2roi(proposals), counts, metas)
        rois, logits, bbox_preds = found[last]
        outputs = [logits, *bbox_preds.values()]
        if self.with_mask:
            outputs += [self._mask_forward(stage, x, rois)["mask_preds"] for stage in range(self.num_stages)]
        return tuple(outputs)

    def stages(self, x: Sequence[Tensor]) -> list[Stage]:
        """See ParallelHeads."""

        def outputs(rois: Tensor, heads: Sequence[int], *, stage: int) -> dict[int, HeadOutput]:
            features = self._roi_features(stage, x, rois)
            return {k: self.bbox_head[stage][k](features) for k in heads}

        return [Stage(heads, partial(outputs, stage=stage)) for stage, heads in enumerate(self.bbox_head)]

    def _roi_features(self, stage: int, x: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Return RoI features (N, C, 7, 7) of rois (N, 5)."""
        extractor = self.bbox_roi_extractor[stage]
        return crop(extractor, x[: extractor.num_inputs], rois)

    def _mask_forward(self, stage: int, x: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        extractor = self.mask_roi_extractor[stage]
        return dict(mask_preds=self.mask_head[stage](crop(extractor, x[: extractor.num_inputs], rois)))


def _per_stage(config: Any, stages: int, what: str) -> list[Any]:
    configs = list(config) if isinstance(config, (list, tuple)) else [config] * stages
    if len(configs) != stages:
        raise ValueError(f"{len(configs)} {what} for {stages} stages")
    return configs
