"""The floor: the dense arithmetic alone, on inputs that are there already. No step can be faster at this precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rgacli.bench.contestants import OfMMDet, autocast
from rgacli.bench.scenes import Scene, for_mmdet


def training_floor(contestant: OfMMDet, scenes: Sequence[Scene], amp: str | None) -> Callable[[], Any]:
    """Return what runs backbone, neck, RPN convolutions and heads forward and backward, without targets and losses.

    Each head gets as many RoI features as it samples.
    """
    model = contestant.model
    inputs = _inputs(contestant, scenes)
    features = _roi_features(contestant, len(scenes) * model.train_cfg.rcnn.sampler.num)
    leaves = [features, *(parameter for parameter in model.parameters() if parameter.requires_grad)]

    def run() -> None:
        model.train()
        with autocast(amp):
            outputs = _dense(contestant, inputs, features)
        torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
        for leaf in leaves:
            leaf.grad = None

    return run


def inference_floor(contestant: OfMMDet, scenes: Sequence[Scene], amp: str | None) -> Callable[[], Any]:
    """Return what runs backbone, neck, RPN convolutions and heads forward, on as many RoI features as proposals."""
    model = contestant.model
    inputs = _inputs(contestant, scenes)
    features = _roi_features(contestant, len(scenes) * model.test_cfg.rpn.max_per_img).detach()

    def run() -> None:
        model.eval()
        with torch.no_grad(), autocast(amp):
            _dense(contestant, inputs, features)

    return run


def _dense(contestant: OfMMDet, inputs: Tensor, features: Tensor) -> list[Tensor]:
    model = contestant.model
    x = model.extract_feat(inputs)
    outputs = [output for kind in model.rpn_head(x) for output in kind]
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        outputs += [output for output in head(features) if output is not None]
    return outputs


def _inputs(contestant: OfMMDet, scenes: Sequence[Scene]) -> Tensor:
    return contestant.model.data_preprocessor(for_mmdet(scenes), False)["inputs"]


def _roi_features(contestant: OfMMDet, number: int) -> Tensor:
    """Return (number, C, 7, 7), which a gradient flows back to, as to the RoI crop."""
    extractor = contestant.model.roi_head.bbox_roi_extractor
    size = extractor.roi_layers[0].output_size
    device = next(contestant.model.parameters()).device
    return torch.randn(number, extractor.out_channels, *size, device=device).requires_grad_()
