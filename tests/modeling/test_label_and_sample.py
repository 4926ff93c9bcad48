import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import RandomSampler
from mmdet.structures.bbox import bbox2roi

from rgacli.modeling.label_and_sample import ground_truth_flags, union_of_draws
from rgacli.modeling.sampling import HardRandomSampler
from tests.support import tiny
from tests.support.roi_heads import FASTER, IMAGES, data, draws_of, make, roi_losses
from tests.support.scenes import SAMPLERS, SHAPES, draw, scene


@st.composite
def several_draws(choose, heads=(1, 3)):
    """`draws[k][i]` of some heads, soft and hard, in some images."""
    shapes = choose(st.lists(SHAPES, min_size=1, max_size=3))
    seed, add_gt = choose(st.integers(0, 2**16)), choose(st.booleans())
    kinds = st.tuples(st.sampled_from([RandomSampler, HardRandomSampler]), SAMPLERS)
    scenes = [scene(**shape, seed=seed) for shape in shapes]
    return [
        [draw(kind(**setting, add_gt_as_proposals=add_gt), parts, seed + k) for parts in scenes]
        for k, (kind, setting) in enumerate(choose(st.lists(kinds, min_size=heads[0], max_size=heads[1])))
    ]


# --- draws


def test_proposals_are_assigned_once_per_image(monkeypatch):
    head, calls = make(FASTER, ["1:1", "1:3", "1:9"]), []
    assign = head.bbox_assigner.assign
    monkeypatch.setattr(head.bbox_assigner, "assign", lambda *args: calls.append(1) or assign(*args))
    roi_losses(head)
    assert len(calls) == len(IMAGES)


def test_heads_of_the_same_ratio_draw_independently():
    samples, x = data()
    one, other = draws_of(make(FASTER, ["1:1", "1:1"]), x, samples)
    assert not torch.equal(one[0].neg_inds, other[0].neg_inds)


def test_every_head_draws_from_the_objects_and_the_proposals_in_their_order():
    samples, x = data()
    draws = draws_of(make(FASTER, ["1:1", "1:3", "1:9"]), x, samples)
    for i, (sample, proposed) in enumerate(zip(samples, tiny.proposals(samples), strict=True)):
        objects = sample.gt_instances
        priors = torch.cat([objects.bboxes, proposed.bboxes])
        for drawn in (head_draws[i] for head_draws in draws):
            assert torch.equal(drawn.priors, priors[torch.cat([drawn.pos_inds, drawn.neg_inds])])
            assert torch.equal(drawn.pos_is_gt.bool(), drawn.pos_inds < len(objects))
            assert torch.equal(drawn.pos_gt_labels, objects.labels[drawn.pos_assigned_gt_inds])


# --- unions


@given(draws=several_draws())
def test_every_head_finds_its_own_draw_in_the_union_exactly_and_in_order(draws):
    rois, indices = union_of_draws(draws)
    for head_draws, index in zip(draws, indices, strict=True):
        assert torch.equal(rois[index], bbox2roi([drawn.priors for drawn in head_draws]))


@given(draws=several_draws())
def test_the_union_holds_what_was_drawn_once_and_nothing_else(draws):
    rois, indices = union_of_draws(draws)
    assert len(rois.unique(dim=0)) == len(rois)
    assert torch.equal(torch.cat(indices).unique(), torch.arange(len(rois)))


@given(draws=several_draws(heads=(1, 1)))
def test_the_union_of_a_single_head_is_its_draw_in_its_order(draws):
    rois, (index,) = union_of_draws(draws)
    own = bbox2roi([drawn.priors for drawn in draws[0]])
    if len(own.unique(dim=0)) == len(own):  # nothing repeated
        assert torch.equal(rois, own)
    assert torch.equal(index.cummax(dim=0).values.unique(), torch.arange(len(rois)))  # by first appearance


def test_the_same_box_in_two_images_and_a_box_proposed_twice_stay_apart():
    parts = scene(positives=2, negatives=2, objects=1)
    parts[1].priors[:] = parts[1].priors[0]
    drawn = draw(RandomSampler(num=4, pos_fraction=0.5, add_gt_as_proposals=False), parts)
    rois, (index,) = union_of_draws([[drawn, drawn]])
    assert torch.equal(index, torch.arange(8))
    assert rois[:, 0].tolist() == [0] * 4 + [1] * 4


@given(draws=several_draws())
def test_ground_truth_flags_mark_the_objects_that_the_samplers_added(draws):
    rois, indices = union_of_draws(draws)
    flags = ground_truth_flags(draws, indices, len(rois))
    assert flags.dtype == torch.uint8  # mmdet counts down from 1 in it
    assert torch.equal(flags.bool(), rois[:, 1] >= 1000)  # a scene's objects lie beyond its proposals
