import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import RandomSampler

from rgacli.errors import UsageError
from rgacli.method import PRM, parse_ratios
from rgacli.modeling.sampling import HardRandomSampler, NestedRandomSampler, repeat_to, sampler_configs
from tests.support.scenes import SAMPLERS, SHAPES, sample_scene, scene

RANDOM = dict(type="RandomSampler", num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
POSITIVE_FIELDS = ("pos_priors", "pos_is_gt", "pos_assigned_gt_inds", "pos_gt_labels", "pos_gt_bboxes")


def spread(counts):
    """How much more often the most frequent occurs than the rarest."""
    return int(counts.max() - counts.min()) if len(counts) else 0


@given(shape=SHAPES, setting=SAMPLERS)
def test_hard_sampling_meets_the_wanted_positives_whenever_there_is_one(shape, setting):
    result = sample_scene(HardRandomSampler(**setting, add_gt_as_proposals=False), scene(**shape))
    wanted = int(setting["num"] * setting["pos_fraction"])
    assert len(result.pos_inds) == (wanted if shape["positives"] else 0)
    left = setting["num"] - len(result.pos_inds)
    assert len(result.neg_inds) == min(left, shape["negatives"])


@given(shape=SHAPES, setting=SAMPLERS)
def test_hard_sampling_repeats_every_positive_equally_often_and_no_negative(shape, setting):
    result = sample_scene(HardRandomSampler(**setting, add_gt_as_proposals=False), scene(**shape))
    counts = torch.bincount(result.pos_inds, minlength=shape["positives"])
    assert spread(counts) <= 1
    assert len(result.neg_inds.unique()) == len(result.neg_inds)


@given(shape=SHAPES, setting=SAMPLERS, add_gt=st.booleans())
def test_what_belongs_to_a_positive_is_repeated_along_with_it(shape, setting, add_gt):
    assigned, proposals, gt = scene(**shape)
    result = sample_scene(HardRandomSampler(**setting, add_gt_as_proposals=add_gt), (assigned, proposals, gt))
    owner, boxes = assigned.gt_inds - 1, proposals.priors
    if add_gt:  # mmdet puts the objects in front
        owner = torch.cat([torch.arange(shape["objects"]), owner])
        boxes = torch.cat([gt.bboxes, boxes])
    picked = owner[result.pos_inds]
    assert torch.equal(result.pos_assigned_gt_inds, picked)
    assert torch.equal(result.pos_gt_labels, gt.labels[picked])
    assert torch.equal(result.pos_gt_bboxes, gt.bboxes[picked])
    assert torch.equal(result.pos_is_gt.bool(), result.pos_inds < (shape["objects"] if add_gt else 0))
    assert torch.equal(result.priors, torch.cat([boxes[result.pos_inds], boxes[result.neg_inds]]))


@given(shape=SHAPES, setting=SAMPLERS)
def test_the_counts_that_the_loss_is_averaged_over_are_those_of_the_draw(shape, setting):
    result = sample_scene(HardRandomSampler(**setting, add_gt_as_proposals=False), scene(**shape))
    assert result.num_pos == max(len(result.pos_inds), 1)
    assert result.num_neg == max(len(result.neg_inds), 1)
    assert result.avg_factor == result.num_pos + result.num_neg


def test_hard_sampling_of_an_image_without_objects_is_all_negatives():
    result = sample_scene(HardRandomSampler(num=8, pos_fraction=0.5), scene(positives=0, negatives=20, objects=0))
    assert (len(result.pos_inds), len(result.neg_inds)) == (0, 8)


def test_which_positives_are_repeated_once_more_and_which_negatives_stay_is_random():
    sampler = HardRandomSampler(num=16, pos_fraction=0.5, add_gt_as_proposals=False)
    results = [sample_scene(sampler, scene(positives=5, negatives=40, objects=2), seed) for seed in range(40)]
    repeated = torch.stack([result.pos_inds.bincount(minlength=5) == 2 for result in results])  # 3 of the 5 each time
    assert repeated.any(dim=0).all()
    assert not repeated.all(dim=0).any()
    assert len(torch.cat([result.neg_inds for result in results]).unique()) == 40


@given(shape=SHAPES, setting=SAMPLERS, seed=st.integers(0, 2**31))
def test_with_enough_positives_hard_sampling_is_mmdets_own(shape, setting, seed):
    shape = {**shape, "positives": shape["positives"] + 64}
    parts = scene(**shape)
    hard, soft = (sample_scene(kind(**setting), parts, seed) for kind in (HardRandomSampler, RandomSampler))
    for field in ("pos_inds", "neg_inds", "priors", *POSITIVE_FIELDS):
        assert torch.equal(getattr(hard, field), getattr(soft, field))


@given(available=st.integers(1, 50), wanted=st.integers(1, 200))
def test_repeat_to_gives_what_is_wanted_evenly(available, wanted):
    pick = repeat_to(available, wanted)
    assert len(pick) == wanted
    assert spread(torch.bincount(pick, minlength=available)) <= 1


# --- nested draws


def nested(parts, settings, add_gt, seed=0):
    """What samplers of several settings take in one random order of a scene's objects and proposals."""
    _, proposals, gt = parts
    ranks = torch.randperm(len(proposals.priors) + len(gt.bboxes), generator=torch.Generator().manual_seed(seed))
    samplers = [NestedRandomSampler(**setting, add_gt_as_proposals=add_gt) for setting in settings]
    return [sample_scene(sampler, parts, ranks=ranks) for sampler in samplers]


def is_part(some, all_):
    return set(some.tolist()) <= set(all_.tolist())


@given(shape=SHAPES, settings=st.lists(SAMPLERS, min_size=2, max_size=3), add_gt=st.booleans(), seed=st.integers(0, 99))
def test_a_head_that_takes_fewer_takes_a_part_of_what_one_takes_that_takes_more(shape, settings, add_gt, seed):
    results = nested(scene(**shape), settings, add_gt, seed)
    for one, other in itertools.combinations(results, 2):
        for field in ("pos_inds", "neg_inds"):
            fewer, more = sorted((getattr(one, field), getattr(other, field)), key=len)
            assert is_part(fewer, more)


@given(shape=SHAPES, setting=SAMPLERS, add_gt=st.booleans(), bound=st.sampled_from([-1, 2]))
def test_nested_draws_are_as_many_as_independent_ones(shape, setting, add_gt, bound):
    parts, setting = scene(**shape), dict(setting, neg_pos_ub=bound)
    (result,) = nested(parts, [setting], add_gt)
    expected = sample_scene(RandomSampler(**setting, add_gt_as_proposals=add_gt), parts)
    assert (len(result.pos_inds), len(result.neg_inds)) == (len(expected.pos_inds), len(expected.neg_inds))
    assert len(result.priors.unique(dim=0)) == len(result.priors)
    assert result.avg_factor == expected.avg_factor
    assigned = parts[0]
    owners = torch.cat([torch.arange(len(parts[2].bboxes)) + 1, assigned.gt_inds]) if add_gt else assigned.gt_inds
    assert (owners[result.pos_inds] > 0).all()
    assert (owners[result.neg_inds] == 0).all()


@pytest.mark.parametrize(("num", "wanted"), [(4, (2, 2)), (2, (1, 1)), (3, (1, 2))])
def test_every_pair_of_positives_and_negatives_is_drawn_equally_often(num, wanted):
    """As by RandomSampler: of all orders of 3 positives and 3 negatives, to each pair lead equally many."""
    assigned, proposals, gt = scene(positives=3, negatives=3, objects=1)
    sampler = NestedRandomSampler(num=num, pos_fraction=0.5, add_gt_as_proposals=False)
    seen = Counter()
    for order in itertools.permutations(range(6)):
        result = sample_scene(sampler, (assigned, proposals, gt), ranks=torch.tensor(order))
        seen[tuple(result.pos_inds.tolist()), tuple(result.neg_inds.tolist())] += 1
    positives, negatives = itertools.combinations(range(3), wanted[0]), itertools.combinations(range(3, 6), wanted[1])
    assert set(seen) == set(itertools.product(positives, negatives))
    assert len(set(seen.values())) == 1


# --- which sampler a head has


def test_soft_sampling_is_the_configs_own_sampler_at_each_heads_fraction():
    configs = sampler_configs(dict(RANDOM), PRM(parse_ratios("1:1,1:9")))
    assert configs == [dict(RANDOM, pos_fraction=0.5), dict(RANDOM, pos_fraction=0.1)]


def test_soft_sampling_keeps_another_kind_of_sampler():
    libra = dict(
        type="CombinedSampler", num=512, pos_fraction=0.25, pos_sampler=dict(type="InstanceBalancedPosSampler")
    )
    (config,) = sampler_configs(libra, PRM(parse_ratios("1:1")))
    assert config == dict(libra, pos_fraction=0.5)


@pytest.mark.parametrize(
    ("settings", "kind"), [(dict(sampling="hard"), "HardRandomSampler"), (dict(draws="nested"), "NestedRandomSampler")]
)
def test_hard_sampling_and_nested_draws_change_the_samplers_type_alone(settings, kind):
    configs = sampler_configs(dict(RANDOM), PRM(parse_ratios("1:1,1:9"), **settings))
    assert configs == [dict(RANDOM, type=kind, pos_fraction=fraction) for fraction in (0.5, 0.1)]


def test_the_heads_samplers_share_nothing_with_one_another_or_the_config():
    source = dict(RANDOM, extra=dict(deep=1))
    first, second = sampler_configs(source, PRM(parse_ratios("1:1,1:1")))
    first["extra"]["deep"] = 2
    assert second["extra"]["deep"] == source["extra"]["deep"] == 1


@pytest.mark.parametrize("settings", [dict(sampling="hard"), dict(draws="nested")])
def test_sampling_that_is_not_defined_is_refused(settings):
    with pytest.raises(UsageError, match=r"is defined for RandomSampler only; this config samples by OHEMSampler\.$"):
        sampler_configs(dict(RANDOM, type="mmdet.OHEMSampler"), PRM(parse_ratios("1:1"), **settings))
