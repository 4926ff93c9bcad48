"""Parallel R-CNN Modules for the standard RoI head: Faster R-CNN and Mask R-CNN."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, InstanceList
from torch import Tensor, nn

from rgacli.modeling.batched import rcnn
from rgacli.modeling.batched.proposals import Proposals
from rgacli.modeling.batched.truth import Truth
from rgacli.modeling.label_and_sample import label_and_sample, union_of_rois
from rgacli.modeling.parallel_heads import ParallelHeads
from rgacli.modeling.roi_crop import crop
from rgacli.modeling.stages import HeadOutput, Stage, through_stages
from rgacli.modeling.statistics import batched_statistics


@MODELS.register_module()
class ParallelRoIHead(ParallelHeads, StandardRoIHead):
    """mmdet's StandardRoIHead with K bbox heads, each trained at its own positive:negative ratio.

    In training, proposals are assigned once per image, each head samples its own RoIs, and RoI features are cropped
    once over the union of the samples. At test time every head scores the same RoI features, and the prediction is
    the average ensemble. A mask head is trained on the positives of the head with the highest positive fraction.
    With one head at the config's own ratio this is mmdet's StandardRoIHead.

    Parallel are the bbox heads alone. The heads share the RoI extractor, the mask head and, where there is one, the
    `shared_head` between RoI alignment and the heads (C4's last ResNet stage). In the paper an R-CNN module begins at
    RoI alignment (Sec. 1), so RGA scales a `shared_head`, too; K of them would be K times most of such a module's cost.

    Args:
        bbox_head: One config for all heads, or a list of K.
        ratios, sampling, head_loss, draws, keep_heads, methods: As for ParallelHeads.
        **kwargs: As for StandardRoIHead.
    """

    def init_bbox_head(self, bbox_roi_extractor: ConfigType, bbox_head: ConfigType | list[ConfigType]) -> None:
        """Build the RoI extractor, which the heads share, and the K heads."""
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = self._build_heads(bbox_head)

    def init_assigner_sampler(self) -> None:
        """Build one assigner for all heads and one sampler per head."""
        self.bbox_assigner, self.bbox_samplers = None, None
        if self.train_cfg:
            self.bbox_assigner = TASK_UTILS.build(self.train_cfg.assigner)
            self.bbox_samplers = self._build_samplers(self.train_cfg.sampler, self.bbox_head, self._roi_features)

    def loss(self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList) -> dict:
        """Return losses and statistics of every head, each key led by the head's slug ("1to9.loss_cls").

        Args:
            x: Feature maps, each (B, C, H, W).
            rpn_results_list: Proposals per image; `bboxes` (P, 4) xyxy in the input image's pixels.
            batch_data_samples: Ground truth per image.
        """
        gts, gts_ignored, _ = unpack_gt_instances(batch_data_samples)
        sampling_results = label_and_sample(
            self.bbox_assigner, self.bbox_samplers, x, rpn_results_list, gts, gts_ignored
        )
        rois, indices = union_of_rois(sampling_results)
        features = self._roi_features(x, rois)
        losses = {}
        for k, (head, index) in enumerate(zip(self.bbox_head, indices, strict=True)):
            output = head(features[index])
            found, _ = self._head_losses(k, head, output, rois[index], sampling_results[k], self.train_cfg)
            losses.update(found)
        if self.with_mask:
            own = features[indices[self.box_head]]
            losses.update(self.mask_loss(x, sampling_results[self.box_head], own, gts)["loss_mask"])
        return losses

    def batched_loss(self, x: Sequence[Tensor], proposals: Proposals, truth: Truth) -> dict[str, Tensor]:
        """Return what `loss` does, of all images at once; for heads that `batched.support.can_train_heads`.

        Args:
            x: Feature maps, each (B, C, H, W).
            proposals, truth: Of the batch.
        """
        nested = self.prm.draws == "nested"
        num_classes = self.bbox_head[0].num_classes
        samples = rcnn.sample(self.bbox_assigner, self.bbox_samplers, proposals, truth, num_classes, share_keys=nested)
        features = self._roi_features(x, samples.rois)
        found, hits = rcnn.losses(self.bbox_head, features, samples, self.train_cfg.pos_weight)
        statistics = batched_statistics(hits, samples.draws)
        named = (self._named(k, losses | own) for k, (losses, own) in enumerate(zip(found, statistics, strict=True)))
        return {name: value for entries in named for name, value in entries.items()}

    def stages(self, x: Sequence[Tensor]) -> list[Stage]:
        """See ParallelHeads: one stage, whose heads score the same RoI features."""

        def outputs(rois: Tensor, heads: Sequence[int]) -> dict[int, HeadOutput]:
            features = self._roi_features(x, rois)
            return {k: self.bbox_head[k](features) for k in heads}

        return [Stage(self.bbox_head, outputs)]

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict:
        """Return the ensemble's outputs, as mmdet's own code (its FLOPs and graph tools) asks for a RoI head's."""
        last = self.variants[-1]
        output = through_stages(self.stages(x), {last: self._combination(last)}, rois, [len(rois)], [])[last]
        (bbox_pred,) = output.bbox_preds.values()
        return dict(cls_score=output.logits, bbox_pred=bbox_pred)

    def _mask_forward(
        self,
        x: Sequence[Tensor],
        rois: Tensor | None = None,
        pos_inds: Tensor | None = None,
        bbox_feats: Tensor | None = None,
    ) -> dict[str, Tensor]:
        if rois is None:  # the mask head takes what the box heads have
            return super()._mask_forward(x, pos_inds=pos_inds, bbox_feats=bbox_feats)
        features = self._roi_features(x, rois, self.mask_roi_extractor)
        return dict(mask_preds=self.mask_head(features), mask_feats=features)

    def _roi_features(self, x: Sequence[Tensor], rois: Tensor, extractor: nn.Module | None = None) -> Tensor:
        """Return RoI features (N, C, h, w) of rois (N, 5), by default those of the box heads."""
        extractor = extractor or self.bbox_roi_extractor
        features = crop(extractor, x[: extractor.num_inputs], rois)
        return self.shared_head(features) if self.with_shared_head else features
