"""Comparing our RoI heads with mmdet's own."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

from tests.support import tiny
from tests.support.roi_heads import STATISTICS, data, parallel_config, roi_losses, roi_predictions, total


def assert_same_detections(one: InstanceData, other: InstanceData) -> None:
    """Equal boxes, scores, labels and, where there are any, masks."""
    assert len(one) == len(other)
    assert ("masks" in one) == ("masks" in other)
    for field in ("bboxes", "scores", "labels", "masks"):
        if field in one:
            assert torch.equal(one[field], other[field])


def stock_and_parallel(cfg: Config, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """mmdet's RoI head and ours with one head at 1:3, with the same weights."""
    stock = tiny.build_roi_head(cfg, seed)
    parallel = tiny.build_roi_head(parallel_config(cfg, ["1:3"]))
    parallel.load_state_dict({parallel_name(name): value for name, value in stock.state_dict().items()})
    return stock, parallel


def parallel_name(name: str) -> str:
    """bbox_head.fc_cls.weight -> bbox_head.0.fc_cls.weight, and a cascade's bbox_head.2.fc_cls -> bbox_head.2.0.…"""
    return re.sub(r"^bbox_head\.(\d+\.)?", r"bbox_head.\g<1>0.", name)


def assert_same_training(stock: nn.Module, parallel: nn.Module, counts: Sequence[int], **losses: int) -> None:
    """Equal losses, running statistics, and gradients of every weight and feature; `losses` are of `roi_losses`."""
    (expected, their_features), (found, our_features) = (
        roi_losses(head, counts, **losses) for head in (stock, parallel)
    )
    found = {name.replace("1to3.", ""): value for name, value in found.items()}
    assert {name for name in found if name.rpartition(".")[2] not in STATISTICS} == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    total(expected).backward()
    total(found).backward()
    gradients = {name: parameter.grad for name, parameter in parallel.named_parameters()}
    for name, parameter in stock.named_parameters():
        assert_same_gradient(gradients[parallel_name(name)], parameter.grad)
    for ours, theirs in zip(our_features, their_features, strict=True):
        assert_same_gradient(ours.grad, theirs.grad)
    state = parallel.state_dict()
    for name, value in stock.named_buffers():
        assert torch.equal(state[parallel_name(name)], value), name


def assert_same_gradient(one: Tensor | None, other: Tensor | None) -> None:
    """Equal, or absent from both."""
    assert (one is None) == (other is None)
    if one is not None:
        assert torch.equal(one, other)


def assert_same_predictions(stock: nn.Module, parallel: nn.Module, counts: Sequence[int], elsewhere: int = 30) -> None:
    """Equal detections, in the network's pixels and in the original image's; arguments as for `roi_predictions`."""
    for rescale in (False, True):
        expected, found = (
            roi_predictions(head, counts, elsewhere=elsewhere, rescale=rescale)[0] for head in (stock, parallel)
        )
        for one, other, objects in zip(expected, found, counts, strict=True):
            assert (len(one) > 5) == (objects + elsewhere > 0)
            assert_same_detections(one, other)


def assert_masks_of_stock_on_the_ensembles_boxes(cfg: Config, parallel: nn.Module) -> None:
    """That the masks are those that mmdet's RoI head with the same mask heads gives the ensemble's boxes."""
    stock = tiny.build_roi_head(cfg)
    stock.load_state_dict({**stock.state_dict(), **_without(parallel.state_dict(), "bbox_head.")})
    samples, x = data()
    found, samples = roi_predictions(parallel, rescale=True)
    metas = [sample.metainfo for sample in samples]
    with torch.no_grad():
        boxes = parallel.predict_bbox(x, metas, tiny.proposals(samples), parallel.test_cfg)
        expected = stock.eval().predict_mask(x, metas, boxes, rescale=True)
    for one, other in zip(expected, found, strict=True):
        assert 0 < other.masks.float().mean() < 1
        assert other.masks.shape == (len(one), 2 * tiny.SIZE, tiny.SIZE // 2)
        assert_same_detections(one, other)


def _without(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(prefix)}
