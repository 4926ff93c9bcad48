"""Parallel R-CNN Modules (PRM): what all RoI heads with parallel heads share (paper, Sec. 3.2 and Fig. 4)."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from mmdet.models.task_modules import SamplingResult
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.structures.bbox import scale_boxes
from mmdet.utils import ConfigType, InstanceList
from mmengine.model import ModuleList
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

from rgacli.method import ENSEMBLE, PRM, RATIOS, box_head_index, head_names, parse_ratios, slug
from rgacli.modeling.ensembling import Combination, alone, combination
from rgacli.modeling.label_and_sample import SamplerContext
from rgacli.modeling.sampling import sampler_configs
from rgacli.modeling.stages import HeadOutput, Stage, class_scores, detect_variants
from rgacli.modeling.statistics import sampling_statistics


class ParallelHeads:
    """Mixed into one of mmdet's RoI heads: K bbox heads on the same proposals, each trained at its own ratio.

    Args:
        ratios: Positive:negative, one per head, such as ["1:1", "1:9"] (the paper's choice).
        sampling: "soft" (the paper's) or "hard" (its Appendix A).
        head_loss: "sum" (the paper's): the heads' losses add up, so that the backbone gets about K times the gradient
            of one R-CNN module. "mean" divides them by K: a control that tells what the ensemble does from what a
            higher learning rate would do. A mask head's loss stays as it is.
        draws: "independent" (the paper's): each head draws for itself. "nested": the heads of an image share one random
            order of its boxes, of which each takes the first positives and negatives (soft sampling by RandomSampler).
        keep_heads: Also leave each head's own detections in `data_sample.head_instances`, by the slug of its ratio.
        methods: With `keep_heads`, leave there what these other ways of combining the heads find, too; names that
            `ensembling.combination` knows.
        **kwargs: The RoI head's. Every head samples by the config's own sampler, but for its `pos_fraction`.
    """

    def __init__(
        self,
        ratios: Sequence[str] = RATIOS,
        sampling: str = "soft",
        head_loss: str = "sum",
        draws: str = "independent",
        keep_heads: bool = False,
        methods: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        self.prm = PRM(parse_ratios(list(ratios)), sampling, head_loss, draws)
        self.ratios = self.prm.ratios
        self.head_names = head_names(self.ratios)
        self.box_head = box_head_index(self.ratios)
        self.keep_heads = keep_heads
        self.methods = tuple(methods)
        super().__init__(**kwargs)

    @property
    def variants(self) -> tuple[str, ...]:
        """What one forward pass yields: the slug of every head, then "ensemble" where there is more than one."""
        heads = tuple(map(slug, self.head_names))
        return (*heads, ENSEMBLE) if len(heads) > 1 else heads

    @abstractmethod
    def stages(self, x: Sequence[Tensor]) -> list[Stage]:
        """Return the heads of every stage, and how they see RoIs on the feature maps `x`, each (B, C, H, W)."""

    def predict_variants(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigType,
        rescale: bool,
        variants: Sequence[str],
    ) -> dict[str, InstanceList]:
        """Return boxes of the named variants from one pass.

        Returns:
            Variant -> per image `bboxes` (D, 4) xyxy, `scores` (D,) and `labels` (D,).

        Raises:
            UsageError: there is no such variant.
        """
        combinations = {variant: self._combination(variant) for variant in variants}
        return detect_variants(self.stages(x), combinations, rpn_results_list, batch_img_metas, rcnn_test_cfg, rescale)

    def predict(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Return the ensemble's detections per image, with masks where there is a mask head.

        With `keep_heads`, every variant's boxes are left in the data samples.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        *heads, last = self.variants
        others = (*heads, *self.methods) if self.keep_heads else ()
        # mmdet's mask branch wants boxes in the input image's pixels, and rescales them itself.
        rescale_boxes = rescale and not self.with_mask
        found = self.predict_variants(x, metas, rpn_results_list, self.test_cfg, rescale_boxes, (*others, last))
        if self.with_mask:
            found[last] = self.predict_mask(x, metas, found[last], rescale=rescale)
            for variant in others if rescale else ():
                _to_original_pixels(found[variant], metas)
        if self.keep_heads:
            for i, sample in enumerate(batch_data_samples):
                sample.head_instances = _boxes_by_variant(
                    {variant: found[variant][i] for variant in (*self.variants, *self.methods)}
                )
        return found[last]

    def predict_bbox(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigType,
        rescale: bool = False,
    ) -> InstanceList:
        """Return the ensemble's boxes, as mmdet's own code (test-time augmentation) asks for them."""
        variant = self.variants[-1]
        return self.predict_variants(x, batch_img_metas, rpn_results_list, rcnn_test_cfg, rescale, [variant])[variant]

    def _build_heads(self, bbox_head: ConfigType | list[ConfigType]) -> ModuleList:
        """Return K heads, by one config for all or by one for each."""
        configs = bbox_head if isinstance(bbox_head, (list, tuple)) else [bbox_head] * len(self.ratios)
        if len(configs) != len(self.ratios):
            raise ValueError(f"{len(configs)} bbox heads for {len(self.ratios)} ratios ({', '.join(self.head_names)})")
        return ModuleList(MODELS.build(copy.deepcopy(config)) for config in configs)

    def _build_samplers(
        self, sampler: ConfigType, heads: ModuleList, roi_features: Callable[[Sequence[Tensor], Tensor], Tensor]
    ) -> list[Any]:
        """Return the config's sampler, once per head, at the head's ratio."""
        configs = sampler_configs(sampler, self.prm)
        return [
            TASK_UTILS.build(config, default_args=dict(context=SamplerContext(head, roi_features)))
            for config, head in zip(configs, heads, strict=True)
        ]

    def _head_losses(
        self,
        index: int,
        head: nn.Module,
        output: HeadOutput,
        rois: Tensor,
        sampling_results: list[SamplingResult],
        train_cfg: ConfigType,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return losses and statistics of one head, keys led by its slug ("1to9.loss_cls"), and its labels (N,).

        Args:
            index: k, the head's place among the K.
            head: The head itself.
            output: Its logits and box regression on the RoIs that it sampled.
            rois: (N, 5), those RoIs.
            sampling_results: The same, per image.
            train_cfg: mmdet's `train_cfg.rcnn`, of this stage.
        """
        cls_score, bbox_pred = output
        result = head.loss_and_target(
            cls_score=cls_score,
            bbox_pred=bbox_pred,
            rois=rois,
            sampling_results=sampling_results,
            rcnn_train_cfg=train_cfg,
        )
        labels = result["bbox_targets"][0]
        statistics = sampling_statistics(class_scores(head, cls_score), labels, sampling_results)
        return self._named(index, result["loss_bbox"] | statistics), labels

    def _named(self, index: int, entries: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses and statistics of head k with its slug in front, losses as `head_loss` weighs them."""
        shares = len(self.ratios) if self.prm.head_loss == "mean" else 1
        return {
            f"{slug(self.head_names[index])}.{key}": value / shares if "loss" in key and shares > 1 else value
            for key, value in entries.items()
        }

    def _combination(self, variant: str) -> Combination:
        """Return how a variant comes from the heads."""
        if variant != ENSEMBLE and variant in self.variants:
            return alone(self.variants.index(variant))
        return combination(variant, [ratio.positive_fraction for ratio in self.ratios], self.box_head)


def _to_original_pixels(results: InstanceList, metas: list[dict]) -> None:
    for found, meta in zip(results, metas, strict=True):
        found.bboxes = scale_boxes(found.bboxes, [1 / factor for factor in meta["scale_factor"]])


def _boxes_by_variant(found: dict[str, InstanceData]) -> BaseDataElement:
    kept = BaseDataElement()
    for variant, instances in found.items():
        boxes = InstanceData(bboxes=instances.bboxes, scores=instances.scores, labels=instances.labels)
        kept.set_field(boxes, variant)
    return kept
