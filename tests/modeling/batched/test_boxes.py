"""Boxes of several images at once, against mmdet's own arithmetic."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from mmdet.structures.bbox import bbox_overlaps

from rgacli.modeling.batched.boxes import as_rois, constant, decode, encode, pairwise_iou

SEEDS = st.integers(0, 2**31)


def random_boxes(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(*shape, 2, generator=generator) * 50
    return torch.cat([corners, corners + torch.rand(*shape, 2, generator=generator) * 30], dim=-1)


@given(SEEDS, st.integers(1, 3), st.integers(1, 5), st.integers(1, 9))
def test_iou_is_mmdets_to_the_last_bit(seed, images, rows, columns):
    a, b = random_boxes(images, rows, seed=seed), random_boxes(images, columns, seed=seed + 1)
    assert pairwise_iou(a, b).equal(bbox_overlaps(a, b))
    assert pairwise_iou(a, a).equal(bbox_overlaps(a, a))


def test_iou_of_empty_boxes_is_0():
    assert pairwise_iou(torch.zeros(1, 4), torch.zeros(1, 4)).tolist() == [[0]]


@given(SEEDS, st.sampled_from([(0.1, 0.1, 0.2, 0.2), (1.0, 2.0, 0.5, 0.25)]), st.sampled_from([0.0, 0.3]))
def test_encoding_and_decoding_are_mmdets(seed, stds, mean):
    coder = DeltaXYWHBBoxCoder(target_means=(mean, 0.0, -mean, 0.0), target_stds=stds)
    boxes, objects = random_boxes(12, seed=seed), random_boxes(12, seed=seed + 1)
    deltas = coder.encode(boxes, objects)
    torch.testing.assert_close(encode(coder, boxes, objects), deltas)
    limits = torch.tensor([60.0, 40.0, 60.0, 40.0])
    torch.testing.assert_close(decode(coder, boxes, deltas, limits), coder.decode(boxes, deltas, max_shape=(40, 60)))
    wild = torch.randn(12, 4, generator=torch.Generator().manual_seed(seed)) * 100
    torch.testing.assert_close(decode(coder, boxes, wild, limits), coder.decode(boxes, wild, max_shape=(40, 60)))


def test_boxes_are_not_clipped_where_the_coder_does_not():
    coder = DeltaXYWHBBoxCoder(clip_border=False)
    boxes = torch.tensor([[-5.0, -5.0, 20.0, 20.0]])
    assert decode(coder, boxes, torch.zeros(1, 4), torch.tensor([10.0] * 4)).equal(boxes)


def test_rois_lead_with_their_image():
    boxes = random_boxes(2, 3, seed=0)
    assert as_rois(boxes)[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert as_rois(boxes)[:, 1:].equal(boxes.view(-1, 4))


@pytest.mark.parametrize("images", [1, 3])
def test_iou_broadcasts_boxes_that_images_share(images):
    a, b = random_boxes(images, 2, seed=0), random_boxes(1, 4, seed=1)
    assert pairwise_iou(a, b).equal(bbox_overlaps(a, b.expand(images, -1, -1).contiguous()))


def test_constants_are_made_once_of_their_kind_and_can_be_learned_with():
    with torch.inference_mode():
        first = constant((1, 1), torch.device("cpu"))
        assert constant((1.0, 1.0), torch.device("cpu")).dtype == torch.float32
    assert first.dtype == torch.long
    assert constant((1, 1), torch.device("cpu")) is first
    weights = torch.ones(2, requires_grad=True)
    (weights * constant((1.0, 1.0), torch.device("cpu"))).sum().backward()  # not with an inference tensor
    assert weights.grad.tolist() == [1, 1]
