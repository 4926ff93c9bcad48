"""mmdet's two-stage detectors, with a batch's images going through at once wherever their parts allow it."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.detectors import CascadeRCNN, FasterRCNN, MaskRCNN, TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from rgacli.modeling.batched.rpn import loss_and_proposals, propose
from rgacli.modeling.batched.support import can_propose, can_train_heads, can_train_rpn
from rgacli.modeling.batched.truth import padded_truth


class Batched:
    """Mixed into one of mmdet's two-stage detectors: the same losses and detections, by fewer and larger operations.

    The RPN and the R-CNN modules each go mmdet's own way where `support` does not know a part of theirs.

    Args:
        channels_last: Whether images and feature maps lie in memory by pixel, not by channel: quicker in half precision
            and TF32, and what is read by pixel (anchors, RoIs) need not be copied. GPUs without tensor cores, and full
            precision on those before Ampere, may be quicker without.
        **kwargs: The detector's.
    """

    def __init__(self, *, channels_last: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self._format)

    def init_weights(self) -> None:
        """Draw the weights that mmdet's own detector draws for a seed: random numbers fill memory in its order."""
        self.to(memory_format=torch.contiguous_format)
        super().init_weights()
        self.to(memory_format=self._format)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the neck's feature maps, each (B, C, H, W).

        Args:
            batch_inputs: (B, 3, H, W), normalised.
        """
        return super().extract_feat(batch_inputs.contiguous(memory_format=self._format))

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Return the losses and statistics of a training step.

        Args:
            batch_inputs: (B, 3, H, W), normalised.
            batch_data_samples: Ground truth per image.
        """
        cfg = self.train_cfg.get("rpn_proposal", self.test_cfg.rpn)
        if not self.with_rpn or not can_train_rpn(self.rpn_head, cfg, batch_data_samples):
            return super().loss(batch_inputs, batch_data_samples)
        x = self.extract_feat(batch_inputs)
        truth = padded_truth(batch_data_samples)
        metas = [sample.metainfo for sample in batch_data_samples]
        losses, proposals = loss_and_proposals(self.rpn_head, x, truth, metas, cfg)
        if can_train_heads(self.roi_head, batch_data_samples):
            return losses | self.roi_head.batched_loss(x, proposals, truth)
        return losses | self.roi_head.loss(x, list(proposals), batch_data_samples)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Return the samples with `pred_instances`.

        Args:
            batch_inputs: (B, 3, H, W), normalised.
            batch_data_samples: mmdet's, per image.
            rescale: Whether boxes are wanted in the original image's pixels.
        """
        given = batch_data_samples[0].get("proposals", None) is not None
        if given or not self.with_rpn or not can_propose(self.rpn_head, self.rpn_head.test_cfg):
            return super().predict(batch_inputs, batch_data_samples, rescale)
        x = self.extract_feat(batch_inputs)
        metas = [sample.metainfo for sample in batch_data_samples]
        proposals = propose(self.rpn_head, x, metas, self.rpn_head.test_cfg)
        found = self.roi_head.predict(x, proposals, batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, found)


@MODELS.register_module()
class BatchedTwoStageDetector(Batched, TwoStageDetector):
    """mmdet's TwoStageDetector."""


@MODELS.register_module()
class BatchedFasterRCNN(Batched, FasterRCNN):
    """mmdet's FasterRCNN."""


@MODELS.register_module()
class BatchedMaskRCNN(Batched, MaskRCNN):
    """mmdet's MaskRCNN."""


@MODELS.register_module()
class BatchedCascadeRCNN(Batched, CascadeRCNN):
    """mmdet's CascadeRCNN."""
