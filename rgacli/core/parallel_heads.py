"""Parallel R-CNN Modules (PRM) for the standard (Faster R-CNN) RoI head: paper, Sec. 3.2 and Fig. 4."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules import SamplingResult
from mmdet.models.utils import empty_instances, unpack_gt_instances
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import ConfigType, InstanceList
from mmengine.model import ModuleList
from mmengine.structures import BaseDataElement
from torch import Tensor

from rgacli.core.ensembling import ENSEMBLE, average_ensemble
from rgacli.core.probes import draw_statistics
from rgacli.core.ratios import box_head_index, head_names, parse_ratios, slug
from rgacli.core.sampling import sampler_configs


@MODELS.register_module()
class ParallelRoIHead(StandardRoIHead):
    """K bbox heads on the same proposals, each trained at its own positive:negative ratio.

    In training, proposals are assigned once per image, each head draws its own RoIs, and RoI features are cropped
    once over the union of the draws. At test time every head scores the same RoI features, and the prediction is
    the average ensemble. With one head at the config's own ratio this is mmdet's StandardRoIHead.

    Args:
        bbox_head: One config for all heads, or a list of K.
        ratios: One per head, such as ["1:1", "1:9"] (the paper's choice).
        sampling: "soft" (the paper's) or "hard" (its Appendix A).
        keep_heads: Also leave each head's own detections in `data_sample.head_instances`, by the slug of its ratio.
        **kwargs: As for StandardRoIHead. `train_cfg.sampler` is every head's sampler, but for its `pos_fraction`.
    """

    def __init__(
        self,
        bbox_head: ConfigType | list[ConfigType],
        ratios: Sequence[str] = ("1:1", "1:9"),
        sampling: str = "soft",
        keep_heads: bool = False,
        **kwargs: object,
    ) -> None:
        self.ratios = parse_ratios(list(ratios))
        self.head_names = head_names(self.ratios)
        self.box_head = box_head_index(self.ratios)
        self.sampling = sampling
        self.keep_heads = keep_heads
        super().__init__(bbox_head=bbox_head, **kwargs)

    @property
    def variants(self) -> tuple[str, ...]:
        """What one forward pass yields: the slug of every head, then "ensemble" where there is more than one."""
        heads = tuple(map(slug, self.head_names))
        return (*heads, ENSEMBLE) if len(heads) > 1 else heads

    def init_bbox_head(self, bbox_roi_extractor: ConfigType, bbox_head: ConfigType | list[ConfigType]) -> None:
        """Builds the RoI extractor, which the heads share, and the K heads."""
        configs = bbox_head if isinstance(bbox_head, (list, tuple)) else [bbox_head] * len(self.ratios)
        if len(configs) != len(self.ratios):
            raise ValueError(f"{len(configs)} bbox heads for {len(self.ratios)} ratios ({', '.join(self.head_names)})")
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = ModuleList(MODELS.build(copy.deepcopy(config)) for config in configs)

    def init_assigner_sampler(self) -> None:
        """Builds one assigner for all heads and one sampler per head."""
        self.bbox_assigner, self.bbox_samplers = None, None
        if self.train_cfg:
            self.bbox_assigner = TASK_UTILS.build(self.train_cfg.assigner)
            self.bbox_samplers = [
                TASK_UTILS.build(config, default_args=dict(context=self))
                for config in sampler_configs(self.train_cfg.sampler, self.ratios, self.sampling)
            ]

    def loss(self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList) -> dict:
        """Losses and draw statistics of every head, each key led by the head's slug ("1to9.loss_cls").

        Args:
            x: Feature maps, each (B, C, H, W).
            rpn_results_list: Proposals per image; `bboxes` (P, 4) xyxy in the input image's pixels.
            batch_data_samples: Ground truth per image.
        """
        draws = self.draw(x, rpn_results_list, batch_data_samples)
        rois, indices = union_of_draws(draws)
        features = self._roi_features(x, rois)
        losses = {}
        for name, head, head_draws, index in zip(self.head_names, self.bbox_head, draws, indices, strict=True):
            cls_logits, bbox_pred = head(features[index])
            result = head.loss_and_target(
                cls_score=cls_logits,
                bbox_pred=bbox_pred,
                rois=rois[index],
                sampling_results=head_draws,
                rcnn_train_cfg=self.train_cfg,
            )
            labels = result["bbox_targets"][0]
            entries = {**result["loss_bbox"], **draw_statistics(cls_logits, labels, head_draws)}
            losses.update({f"{slug(name)}.{key}": value for key, value in entries.items()})
        return losses

    def draw(
        self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList
    ) -> list[list[SamplingResult]]:
        """Assigns each image's proposals once and lets every head draw from them.

        Returns:
            `draws[k][i]`: the RoIs of head k in image i. All heads index the same priors of an image.
        """
        gts, gts_ignored, _ = unpack_gt_instances(batch_data_samples)
        draws: list[list[SamplingResult]] = [[] for _ in self.bbox_samplers]
        for i, proposals in enumerate(rpn_results_list):
            proposals.priors = proposals.pop("bboxes")
            assigned = self.bbox_assigner.assign(proposals, gts[i], gts_ignored[i])
            features = [level[i][None] for level in x]
            for head_draws, sampler in zip(draws, self.bbox_samplers, strict=True):
                # Samplers add the ground truth to the assignment they are given: each gets its own copy.
                head_draws.append(sampler.sample(copy.copy(assigned), proposals, gts[i], feats=features))
        return draws

    def predict(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """The ensemble's detections per image; with `keep_heads`, every variant's are left in the data samples."""
        metas = [sample.metainfo for sample in batch_data_samples]
        wanted = self.variants if self.keep_heads else self.variants[-1:]
        detections = self.predict_variants(x, metas, rpn_results_list, self.test_cfg, rescale, wanted)
        if self.keep_heads:
            for i, sample in enumerate(batch_data_samples):
                kept = BaseDataElement()
                for variant in wanted:
                    kept.set_field(detections[variant][i], variant)
                sample.head_instances = kept
        return detections[self.variants[-1]]

    def predict_variants(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigType,
        rescale: bool,
        variants: Sequence[str],
    ) -> dict[str, InstanceList]:
        """Detections of the named variants from one pass: the heads score the same RoI features.

        Returns:
            Variant -> per image `bboxes` (D, 4) xyxy, `scores` (D,) and `labels` (D,).
        """
        proposals = [result.bboxes for result in rpn_results_list]
        counts = [len(boxes) for boxes in proposals]
        rois = bbox2roi(proposals)
        head = self.bbox_head[self.box_head]
        if not len(rois):
            return {
                variant: empty_instances(
                    batch_img_metas,
                    rois.device,
                    task_type="bbox",
                    box_type=head.predict_box_type,
                    num_classes=head.num_classes,
                    score_per_cls=rcnn_test_cfg is None,
                )
                for variant in variants
            }
        features = self._roi_features(x, rois)
        outputs = [head(features) for head in self.bbox_head]
        by_variant = dict(zip(self.variants, outputs, strict=False))
        if len(outputs) > 1:
            by_variant[ENSEMBLE] = average_ensemble(*zip(*outputs, strict=True), self.box_head)
        return {
            variant: head.predict_by_feat(
                rois=rois.split(counts),
                cls_scores=by_variant[variant][0].split(counts),
                bbox_preds=by_variant[variant][1].split(counts),
                batch_img_metas=batch_img_metas,
                rcnn_test_cfg=rcnn_test_cfg,
                rescale=rescale,
            )
            for variant in variants
        }

    def predict_bbox(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigType,
        rescale: bool = False,
    ) -> InstanceList:
        """The ensemble's detections, as mmdet's own code (test-time augmentation) asks for them."""
        variant = self.variants[-1]
        return self.predict_variants(x, batch_img_metas, rpn_results_list, rcnn_test_cfg, rescale, [variant])[variant]

    def forward(
        self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList = None
    ) -> tuple:
        """The ensemble's raw logits (N, C+1) and box regression, as mmdet's FLOPs and graph tools ask for them."""
        features = self._roi_features(x, bbox2roi([result.bboxes for result in rpn_results_list]))
        outputs = [head(features) for head in self.bbox_head]
        return average_ensemble(*zip(*outputs, strict=True), self.box_head)

    def _roi_features(self, x: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """RoI features (N, C, 7, 7) of rois (N, 5)."""
        features = self.bbox_roi_extractor(x[: self.bbox_roi_extractor.num_inputs], rois)
        return self.shared_head(features) if self.with_shared_head else features


def union_of_draws(draws: list[list[SamplingResult]]) -> tuple[Tensor, list[Tensor]]:
    """Every RoI that any head drew, once, and where each head's RoIs stand in it.

    RoIs stand in the order of their first appearance, so that a single head's union is its own draw, in its order.

    Args:
        draws: `draws[k][i]`, head k's draw in image i, all heads indexing the same priors of an image.

    Returns:
        rois: (U, 5), image index and xyxy.
        indices: Per head (N_k,), such that `rois[indices[k]]` are its RoIs: by image, positives first.
    """
    rois = [bbox2roi([draw.priors for draw in head_draws]) for head_draws in draws]
    sizes = [len(head_rois) for head_rois in rois]
    chosen = [torch.cat([draw.pos_inds, draw.neg_inds]) for head_draws in draws for draw in head_draws]
    all_rois, prior = torch.cat(rois), torch.cat(chosen)
    # A RoI is known by its image and the index of its prior there.
    image = all_rois[:, 0].long()
    key = prior * len(draws[0]) + image
    distinct, which = key.unique(return_inverse=True)
    position = torch.arange(len(key), device=key.device)
    first = torch.full_like(distinct, len(key)).scatter_reduce(0, which, position, "amin")
    order = first.argsort()
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    return all_rois[first[order]], list(rank[which].split(sizes))
