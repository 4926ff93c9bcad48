import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import RandomSampler
from mmdet.structures.bbox import bbox2roi

from rgacli.modeling.label_and_sample import gt_flags, union_of_rois
from rgacli.modeling.sampling import HardRandomSampler
from tests.support import tiny
from tests.support.roi_heads import FASTER, IMAGES, data, make, roi_losses, sampling_results_of
from tests.support.scenes import SAMPLERS, SHAPES, sample_scene, scene


@st.composite
def several_samples(choose, heads=(1, 3)):
    """`sampling_results[k][i]` of some heads, soft and hard, in some images."""
    shapes = choose(st.lists(SHAPES, min_size=1, max_size=3))
    seed, add_gt = choose(st.integers(0, 2**16)), choose(st.booleans())
    kinds = st.tuples(st.sampled_from([RandomSampler, HardRandomSampler]), SAMPLERS)
    scenes = [scene(**shape, seed=seed) for shape in shapes]
    return [
        [sample_scene(kind(**setting, add_gt_as_proposals=add_gt), parts, seed + k) for parts in scenes]
        for k, (kind, setting) in enumerate(choose(st.lists(kinds, min_size=heads[0], max_size=heads[1])))
    ]


# --- samples


def test_proposals_are_assigned_once_per_image(monkeypatch):
    head, calls = make(FASTER, ["1:1", "1:3", "1:9"]), []
    assign = head.bbox_assigner.assign
    monkeypatch.setattr(head.bbox_assigner, "assign", lambda *args: calls.append(1) or assign(*args))
    roi_losses(head)
    assert len(calls) == len(IMAGES)


def test_heads_of_the_same_ratio_draw_independently():
    samples, x = data()
    one, other = sampling_results_of(make(FASTER, ["1:1", "1:1"]), x, samples)
    assert not torch.equal(one[0].neg_inds, other[0].neg_inds)


def test_nested_heads_take_the_first_of_one_order_of_an_images_objects_and_proposals(monkeypatch):
    samples, x = data()
    head, orders, randperm = make(FASTER, ["1:1", "1:7"], draws="nested"), [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda number: orders.append(randperm(number)) or orders[-1])
    sampling_results = sampling_results_of(head, x, samples)
    proposals = tiny.proposals(samples)
    assert [len(ranks) for ranks in orders] == [
        len(found) + len(sample.gt_instances) for found, sample in zip(proposals, samples, strict=True)
    ]
    for own, expected in zip(sampling_results, [(8, 8), (2, 14)], strict=True):
        for result, ranks in zip(own, orders, strict=True):
            assert (len(result.pos_inds), len(result.neg_inds)) == expected
            for chosen in (result.pos_inds, result.neg_inds):
                rest = set(range(len(ranks))) - set(chosen.tolist())
                assert rest  # else this would test little
    for i, ranks in enumerate(orders):
        more, fewer = sampling_results[0][i], sampling_results[1][i]
        assert set(more.pos_inds[ranks[more.pos_inds].argsort()[:2]].tolist()) == set(fewer.pos_inds.tolist())
        assert set(fewer.neg_inds[ranks[fewer.neg_inds].argsort()[:8]].tolist()) == set(more.neg_inds.tolist())


def test_nested_heads_draw_anew_each_time():
    samples, x = data()
    head = make(FASTER, ["1:1", "1:7"], draws="nested")
    one, other = (sampling_results_of(head, x, samples)[0][0] for _ in range(2))
    assert not torch.equal(one.neg_inds, other.neg_inds)


def test_every_head_draws_from_the_objects_and_the_proposals_in_their_order():
    samples, x = data()
    sampling_results = sampling_results_of(make(FASTER, ["1:1", "1:3", "1:9"]), x, samples)
    for i, (sample, proposed) in enumerate(zip(samples, tiny.proposals(samples), strict=True)):
        objects = sample.gt_instances
        priors = torch.cat([objects.bboxes, proposed.bboxes])
        for result in (head_results[i] for head_results in sampling_results):
            assert torch.equal(result.priors, priors[torch.cat([result.pos_inds, result.neg_inds])])
            assert torch.equal(result.pos_is_gt.bool(), result.pos_inds < len(objects))
            assert torch.equal(result.pos_gt_labels, objects.labels[result.pos_assigned_gt_inds])


# --- unions


@given(sampling_results=several_samples())
def test_every_head_finds_its_own_draw_in_the_union_exactly_and_in_order(sampling_results):
    rois, indices = union_of_rois(sampling_results)
    for head_results, index in zip(sampling_results, indices, strict=True):
        assert torch.equal(rois[index], bbox2roi([result.priors for result in head_results]))


@given(sampling_results=several_samples())
def test_the_union_holds_what_was_drawn_once_and_nothing_else(sampling_results):
    rois, indices = union_of_rois(sampling_results)
    assert len(rois.unique(dim=0)) == len(rois)
    assert torch.equal(torch.cat(indices).unique(), torch.arange(len(rois)))


@given(sampling_results=several_samples(heads=(1, 1)))
def test_the_union_of_a_single_head_is_its_draw_in_its_order(sampling_results):
    rois, (index,) = union_of_rois(sampling_results)
    own = bbox2roi([result.priors for result in sampling_results[0]])
    if len(own.unique(dim=0)) == len(own):  # nothing repeated
        assert torch.equal(rois, own)
    assert torch.equal(index.cummax(dim=0).values.unique(), torch.arange(len(rois)))  # by first appearance


def test_the_same_box_in_two_images_and_a_box_proposed_twice_stay_apart():
    parts = scene(positives=2, negatives=2, objects=1)
    parts[1].priors[:] = parts[1].priors[0]
    result = sample_scene(RandomSampler(num=4, pos_fraction=0.5, add_gt_as_proposals=False), parts)
    rois, (index,) = union_of_rois([[result, result]])
    assert torch.equal(index, torch.arange(8))
    assert rois[:, 0].tolist() == [0] * 4 + [1] * 4


@given(sampling_results=several_samples())
def test_ground_truth_flags_mark_the_objects_that_the_samplers_added(sampling_results):
    rois, indices = union_of_rois(sampling_results)
    flags = gt_flags(sampling_results, indices, len(rois))
    assert flags.dtype == torch.uint8  # mmdet counts down from 1 in it
    assert torch.equal(flags.bool(), rois[:, 1] >= 1000)  # a scene's objects lie beyond its proposals
