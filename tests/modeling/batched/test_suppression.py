"""Suppression in many groups at once, against torchvision's kernel group by group."""

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from rgacli.modeling.batched import suppression
from rgacli.modeling.batched.suppression import keep, keep_unless_deep
from rgacli.modeling.waiting import as_on_a_gpu
from tests.modeling.batched.test_boxes import random_boxes


def elsewhere(*args):
    with as_on_a_gpu():
        return keep(*args)


WAYS = [keep, elsewhere]


def by_torchvision(boxes, valid, threshold, labels):
    kept = torch.zeros(len(boxes), dtype=torch.bool)
    for label in labels.unique():
        places = (valid & (labels == label)).nonzero().squeeze(1)
        scores = torch.arange(len(places), 0, -1.0)
        kept[places[torchvision.ops.nms(boxes[places], scores, threshold)]] = True
    return kept


@pytest.mark.parametrize("way", WAYS)
@given(seed=st.integers(0, 2**31), groups=st.integers(1, 3), threshold=st.sampled_from([0.3, 0.5, 0.7]))
def test_both_ways_keep_what_torchvision_keeps(way, seed, groups, threshold):
    boxes = random_boxes(groups, 30, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    valid = torch.rand(groups, 30, generator=generator) < 0.8
    labels = torch.randint(0, 3, (groups, 30), generator=generator)
    found = way(boxes, valid, threshold, labels)
    assert found.equal(
        torch.stack([by_torchvision(*each, threshold, own) for *each, own in zip(boxes, valid, labels, strict=True)])
    )
    alone = way(boxes, valid, threshold)
    zeros = torch.zeros_like(labels[0])
    assert alone.equal(
        torch.stack([by_torchvision(*each, threshold, zeros) for each in zip(boxes, valid, strict=True)])
    )


def chain(links):
    """Boxes of which each suppresses the next alone, so that every second one stays."""
    left = torch.arange(float(links)) * 3
    return torch.stack([left, torch.zeros(links), left + 10, torch.full((links,), 10.0)], dim=1)[None]


@pytest.mark.parametrize("way", WAYS)
def test_a_long_chain_is_settled_to_its_end(way):
    assert way(chain(41), torch.ones(1, 41, dtype=torch.bool), 0.4)[0].tolist() == [i % 2 == 0 for i in range(41)]


def test_without_waiting_it_is_said_whether_the_result_is_right():
    with as_on_a_gpu():
        for links in (6, 41):
            valid = torch.ones(1, links, dtype=torch.bool)
            kept, is_right = keep_unless_deep(chain(links), valid, 0.4, rounds=8)
            assert is_right == (links == 6) == kept.equal(keep(chain(links), valid, 0.4))
    assert keep_unless_deep(chain(41), valid, 0.4, rounds=8)[1]  # on a CPU always


def test_groups_may_be_looked_at_in_parts(monkeypatch):
    boxes, valid = random_boxes(5, 20, seed=4), torch.ones(5, 20, dtype=torch.bool)
    whole = keep(boxes, valid, 0.3, torch.zeros(5, 20))
    monkeypatch.setattr(suppression, "_MOST_OVERLAPS", 2 * 20 * 20)
    assert elsewhere(boxes, valid, 0.3, torch.zeros(5, 20)).equal(whole)


def test_more_boxes_than_can_be_compared_at_once_go_one_by_one_on_a_gpu_too(monkeypatch):
    """What 16,384 boxes would hold at once is 4 GiB."""
    boxes, valid = random_boxes(2, 20, seed=4), torch.ones(2, 20, dtype=torch.bool)
    whole = elsewhere(boxes, valid, 0.3)
    monkeypatch.setattr(suppression, "_MOST_AT_ONCE", 19)
    monkeypatch.setattr(suppression, "keep_at_once", None)
    assert elsewhere(boxes, valid, 0.3).equal(whole)


def test_a_cpu_goes_one_by_one(monkeypatch):
    monkeypatch.setattr(suppression, "keep_at_once", None)
    assert keep(random_boxes(1, 3, seed=0), torch.tensor([[True, False, True]]), 0.5).tolist() == [[True, False, True]]
