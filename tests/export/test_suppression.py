import pytest
import torch
from mmcv.ops import batched_nms

from rgacli.export.suppression import GONE, best, moved_apart, nms, put
from tests.support import tiny


def boxes_and_scores(*shape):
    generator = torch.Generator().manual_seed(0)
    number = torch.Size(shape).numel()
    return tiny.boxes(number, generator).reshape(*shape, 4), torch.rand(shape, generator=generator)


@pytest.mark.parametrize(("threshold", "limit"), [(GONE, None), (0.5, None), (0.3, 4)])
def test_images_are_suppressed_each_for_itself_as_mmcv_does(threshold, limit):
    boxes, scores = boxes_and_scores(3, 60)
    kept = nms(boxes, scores, 0.3, threshold, limit)
    assert kept.shape == scores.shape
    for own, own_scores, left in zip(boxes, scores, kept, strict=True):
        rows = torch.where(own_scores > threshold)[0]
        _, expected = batched_nms(own[rows], own_scores[rows], torch.zeros(len(rows)), dict(iou_threshold=0.3))
        expected = rows[expected[:limit]]
        assert 0 < len(expected) < 60
        assert torch.equal(torch.where(left > GONE)[0], expected.sort().values)
        assert torch.equal(left[expected], own_scores[expected])


def test_an_image_without_candidates_keeps_none():
    boxes, scores = boxes_and_scores(2, 5)
    scores[1] = GONE
    assert (nms(boxes, scores, 0.3, GONE, None)[1] == GONE).all()


def test_boxes_moved_apart_overlap_in_their_group_alone_whatever_the_other_images_are():
    boxes, scores = boxes_and_scores(2, 60)
    groups = torch.arange(60).expand(2, -1) % 3
    boxes[1] *= 10
    apart = moved_apart(boxes, scores > 0.2, groups)
    kept = nms(apart, scores, 0.3, 0.2, None)
    for image in range(2):
        alone = moved_apart(boxes[image][None], scores[image][None] > 0.2, groups[image][None])
        assert torch.equal(alone[0], apart[image])
        rows = torch.where(scores[image] > 0.2)[0]
        _, expected = batched_nms(boxes[image, rows], scores[image, rows], groups[image, rows], dict(iou_threshold=0.3))
        assert torch.equal(torch.where(kept[image] > GONE)[0], rows[expected].sort().values)


@pytest.mark.parametrize("limit", [None, 2, 5])
def test_the_best_of_each_row_come_first_and_too_few_are_filled_up(limit):
    scores, order = best(torch.tensor([[0.1, 0.9, GONE], [GONE, 0.0, 0.5]]), limit)
    assert scores.shape == order.shape == (2, limit or 3)
    assert scores[:, :2].tolist() == [[pytest.approx(0.9), pytest.approx(0.1)], [0.5, 0.0]]
    assert order[:, :2].tolist() == [[1, 0], [2, 1]]
    assert (scores[:, 2:] == GONE).all()
    assert not order[:, 2:].any()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rows_are_put_into_their_images(count):
    images, rows = torch.tensor([1, 0, 1])[:count], torch.tensor([2, 0, 0])[:count]
    values, others = torch.zeros(2, 3, 4), torch.arange(4.0 * count).reshape(count, 4) + 1
    found = put(values, images, rows, others)
    assert torch.equal(found[images, rows], others)
    assert found.any(dim=2).sum() == count
    assert not values.any()
