import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from rgacli.config.files import load_config
from rgacli.config.schedule import (
    images_per_step,
    set_accumulation,
    set_batch_size,
    set_clipping,
    set_epochs,
    set_learning_rate,
    set_processes,
)
from rgacli.errors import UsageError
from rgacli.wording import spelled

R50 = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"


def test_twice_the_epochs_stretch_mmdets_schedule_but_not_its_warm_up():
    cfg = load_config(R50)
    set_epochs(cfg, 24)
    warm_up, steps = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == 24
    assert (warm_up.begin, warm_up.end) == (0, 500)
    assert (steps.begin, steps.end, steps.milestones) == (0, 24, [16, 22])


def test_the_quickstarts_cosine_follows_its_epochs():
    cfg = load_config("quickstart")
    set_epochs(cfg, 4)
    warm_up, cosine = cfg.param_scheduler
    assert (cosine.T_max, cosine.end) == (4, 4)
    assert warm_up.end == 100
    assert cfg.train_cfg.val_interval == 4  # else it would never validate


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 12, 13, 60])
def test_any_number_of_epochs_leaves_a_schedule_that_can_be_built(epochs):
    cfg = load_config(R50)
    # A warm-up by epochs as well as a part that begins late: both may round to nothing.
    cfg.param_scheduler = [
        dict(type="LinearLR", start_factor=0.1, by_epoch=True, begin=0, end=1),
        dict(type="CosineAnnealingLR", by_epoch=True, begin=1, end=12, T_max=11),
        dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
        dict(type="ConstantLR", begin=11, by_epoch=True, factor=0.5),
    ]
    set_epochs(cfg, epochs)
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    for scheduler in cfg.param_scheduler:
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper))
    assert 1 <= cfg.train_cfg.val_interval <= epochs


@given(
    epochs=st.integers(1, 60), old=st.integers(2, 60), fractions=st.lists(st.floats(0.05, 0.99), min_size=1, max_size=3)
)
def test_every_step_of_the_rate_comes_before_the_last_epoch(epochs, old, fractions):
    milestones = sorted({max(1, int(old * fraction)) for fraction in fractions})
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=old, val_begin=milestones[0], dynamic_intervals=[(milestones[-1], 1)]),
            param_scheduler=[dict(type="MultiStepLR", by_epoch=True, milestones=[*milestones, old], gamma=0.1)],
        )
    )
    set_epochs(cfg, epochs)
    found = cfg.param_scheduler[0].milestones
    assert len(found) == (len(milestones) if epochs > 1 else 0)  # the one that never came is left out
    assert found == sorted(found)
    assert all(1 <= each < epochs for each in found)
    assert 1 <= cfg.train_cfg.val_begin <= epochs
    assert 1 <= cfg.train_cfg.dynamic_intervals[0][0] <= epochs


def test_the_configs_own_number_of_epochs_changes_nothing():
    cfg, expected = load_config(R50), load_config(R50)
    set_epochs(cfg, 12)
    assert cfg.to_dict() == expected.to_dict()


@pytest.mark.parametrize(("config", "changes"), [(R50, {}), ("quickstart", {}), (R50, {"param_scheduler": []})])
def test_no_epochs_leave_the_schedule_for_those_that_come_later(config, changes):
    cfg, expected = load_config(config), load_config(config)
    for one in (cfg, expected):
        one.merge_from_dict(changes)
    set_epochs(cfg, 0, least=0)
    assert cfg.train_cfg.max_epochs == 0
    set_epochs(cfg, 3)
    set_epochs(expected, 3)
    assert cfg.to_dict() == expected.to_dict()


@pytest.mark.parametrize("epochs", [0, -1])
def test_fewer_than_one_epoch_is_refused(epochs):
    with pytest.raises(UsageError, match="at least 1"):
        set_epochs(load_config(R50), epochs)


def test_epochs_of_a_config_that_counts_iterations_are_refused():
    with pytest.raises(UsageError, match="trains by iterations"):
        set_epochs(load_config("mmdet::faster_rcnn/faster-rcnn_r50-caffe_fpn_90k_coco.py"), 3)


def test_batch_size_is_images_per_step():
    cfg = load_config(R50)
    set_batch_size(cfg, 5)
    assert cfg.train_dataloader.batch_size == 5
    with pytest.raises(UsageError, match="at least 1"):
        set_batch_size(cfg, 0)


@pytest.mark.parametrize(("batch", "processes", "lr"), [(16, 1, 0.02), (2, 1, 0.0025), (2, 8, 0.02), (4, 8, 0.04)])
def test_the_learning_rate_follows_the_batch_linearly(batch, processes, lr):
    cfg = load_config(R50)
    set_batch_size(cfg, batch)
    why = set_learning_rate(cfg, None, processes=processes)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
    assert f"learning rate {lr:g}" in why


def test_a_learning_rate_that_is_given_is_taken_as_it_is():
    cfg = load_config(R50)
    assert spelled(set_learning_rate(cfg, 0.3)) == "learning rate 0.3 (lr)"
    assert cfg.optim_wrapper.optimizer.lr == 0.3


@pytest.mark.parametrize("lr", [None, 0.3])
def test_mmengine_does_not_scale_the_learning_rate_again(lr):
    cfg = load_config(R50)
    cfg.auto_scale_lr.enable = True
    set_learning_rate(cfg, lr)
    assert cfg.auto_scale_lr.enable is False


def test_without_a_base_batch_size_the_learning_rate_is_the_configs():
    cfg = load_config(R50)
    cfg.auto_scale_lr = None
    set_learning_rate(cfg, None)
    assert cfg.optim_wrapper.optimizer.lr == 0.02


@pytest.mark.parametrize("lr", [0, -0.1, 1e300, float("nan"), float("inf")])
def test_a_learning_rate_out_of_range_is_refused(lr):
    with pytest.raises(UsageError, match="lr="):
        set_learning_rate(load_config(R50), lr)


def test_the_learning_rate_follows_all_images_that_a_step_sees():
    cfg = load_config(R50)
    set_batch_size(cfg, 2)
    set_accumulation(cfg, 4)
    assert set_learning_rate(cfg, None, processes=2) == "learning rate 0.02 (the config's, for 16 images a step)"
    cfg = load_config(R50)
    set_batch_size(cfg, 2)
    set_accumulation(cfg, 4)
    assert set_learning_rate(cfg, None, processes=4).startswith("learning rate 0.04 = 0.02 · 32/16")


def test_the_linear_scaling_rule_may_be_left_out():
    cfg = load_config(R50)
    set_batch_size(cfg, 4)
    assert set_learning_rate(cfg, None, scale=False) == "learning rate 0.02 (the config's, not scaled)"
    assert cfg.optim_wrapper.optimizer.lr == 0.02


def test_accumulation_and_clipping_reach_the_optimizer_wrapper():
    cfg = load_config(R50)
    set_accumulation(cfg, 3)
    set_clipping(cfg, 0.5)
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    assert wrapper._accumulative_counts == 3
    assert wrapper.clip_grad_kwargs == dict(max_norm=0.5, norm_type=2)
    set_clipping(cfg, 0)
    assert build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper).clip_grad_kwargs is None


@pytest.mark.parametrize(
    ("change", "value", "option"),
    [
        (set_accumulation, 0, "accumulate"),
        (set_clipping, -1, "clip"),
        (set_clipping, float("nan"), "clip"),
        (set_clipping, float("inf"), "clip"),
    ],
)
def test_accumulation_and_clipping_out_of_range_are_refused(change, value, option):
    with pytest.raises(UsageError, match=option):
        change(load_config(R50), value)


# --- going on with another number of processes


def run_of(processes, batch_size):
    cfg = load_config(R50)
    set_batch_size(cfg, batch_size)
    cfg.processes = processes
    return cfg


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_other_processes_share_the_batch_there_was(processes):
    cfg = run_of(4, 2)
    said = set_processes(cfg, processes)
    assert cfg.train_dataloader.batch_size * processes == 8
    assert images_per_step(cfg, processes) == 8
    assert cfg.processes == processes
    assert (said is None) is (processes == 4)
    assert set_processes(cfg, processes) is None


@pytest.mark.parametrize("processes", [3, 16])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(processes):
    with pytest.raises(UsageError, match=rf"{processes} processes cannot share evenly: it can go on with 1, 2, 4, 8\."):
        set_processes(run_of(4, 2), processes)
