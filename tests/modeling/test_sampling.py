import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules import RandomSampler

from rgacli.method import parse_ratios
from rgacli.modeling.sampling import HardRandomSampler, repeat_to, sampler_configs
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


def test_soft_sampling_is_the_configs_own_sampler_at_each_heads_fraction():
    configs = sampler_configs(dict(RANDOM), parse_ratios("1:1,1:9"), "soft")
    assert configs == [dict(RANDOM, pos_fraction=0.5), dict(RANDOM, pos_fraction=0.1)]


def test_soft_sampling_keeps_another_kind_of_sampler():
    libra = dict(
        type="CombinedSampler", num=512, pos_fraction=0.25, pos_sampler=dict(type="InstanceBalancedPosSampler")
    )
    (config,) = sampler_configs(libra, parse_ratios("1:1"), "soft")
    assert config == dict(libra, pos_fraction=0.5)


def test_hard_sampling_changes_the_samplers_type_alone():
    configs = sampler_configs(dict(RANDOM), parse_ratios("1:1,1:9"), "hard")
    assert configs == [dict(RANDOM, type="HardRandomSampler", pos_fraction=fraction) for fraction in (0.5, 0.1)]


def test_the_heads_samplers_share_nothing_with_one_another_or_the_config():
    source = dict(RANDOM, extra=dict(deep=1))
    first, second = sampler_configs(source, parse_ratios("1:1,1:1"), "soft")
    first["extra"]["deep"] = 2
    assert second["extra"]["deep"] == source["extra"]["deep"] == 1


@pytest.mark.parametrize(
    ("sampler", "mode", "complaint"),
    [(RANDOM, "medium", "soft or hard"), (dict(RANDOM, type="OHEMSampler"), "hard", "not for OHEMSampler")],
)
def test_sampling_that_is_not_defined_is_refused(sampler, mode, complaint):
    with pytest.raises(ValueError, match=complaint):
        sampler_configs(sampler, parse_ratios("1:1"), mode)
