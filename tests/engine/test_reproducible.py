import copy
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.config import Config
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader

from rgacli.engine import reproducible
from rgacli.engine.reproducible import (
    IMAGE,
    Draw,
    SeededBatchSampler,
    SeededDataset,
    seed_all,
    seeded,
    set_reproducible,
)


def numbers():
    """One random number of each library."""
    return random.random(), np.random.rand(), torch.rand(1).item()


class Images:
    """A dataset of random numbers: what it yields depends on the state of every generator."""

    def __init__(self, length=7):
        self.length, self.pipeline, self.metainfo = length, "first", dict(classes=("a",))

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return int(index), numbers()

    def get_data_info(self, index):
        return dict(width=10 + index % 3, height=11)


def loader(dataset, batch_size=2, batches=None, kind=DefaultSampler, **options):
    sampler = SeededBatchSampler(kind(dataset, shuffle=True, seed=0), batch_size, batches)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=list, **options)


def epochs(loaded, number=2):
    """The batches of some epochs."""
    found = []
    for epoch in range(number):
        loaded.batch_sampler.sampler.set_epoch(epoch)
        found.append(list(loaded))
    return found


# --- seeds


@given(key=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_a_key_decides_the_numbers_of_every_library(key):
    seed_all(*key)
    first = numbers()
    seed_all(*key)
    assert numbers() == first
    with seeded(*key):
        assert numbers() == first


def test_other_keys_give_other_numbers():
    found = set()
    for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]:
        with seeded(*key):
            found.update(numbers())
    assert len(found) == 5 * 3


def test_a_seeded_block_leaves_the_callers_numbers_as_they_were():
    seed_all(3)
    expected = [numbers(), numbers()]
    seed_all(3)
    found = [numbers()]
    with pytest.raises(ZeroDivisionError), seeded(1):
        numbers()[0] / 0
    assert [*found, numbers()] == expected


# --- augmentation


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_is_augmented_alike_whoever_loads_it(workers):
    dataset = SeededDataset(Images(), seed=5)
    found = epochs(loader(dataset, num_workers=workers, persistent_workers=bool(workers)))
    for epoch, batches in enumerate(found):
        for index, drawn in (item for batch in batches for item in batch):
            with seeded(IMAGE, 5, epoch, index):
                assert drawn == numbers()


def test_an_image_is_augmented_otherwise_in_each_epoch_and_for_each_seed():
    one, other = (epochs(loader(SeededDataset(Images(), seed))) for seed in (0, 1))
    drawn = [values for found in (one, other) for batches in found for batch in batches for _, values in batch]
    assert len(set(drawn)) == 2 * 2 * 7


@pytest.mark.parametrize("kind", [DefaultSampler, InfiniteSampler])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_however_many_processes_draw_an_image_comes_with_the_same_pass(monkeypatch, kind, world_size):
    def draws(rank):
        monkeypatch.setattr(reproducible, "get_dist_info", lambda: (rank, world_size))
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (rank, world_size))
        sampler = SeededBatchSampler(kind(Images(6), seed=0), batch_size=1)
        if kind is InfiniteSampler:  # three times over the dataset
            return [draw for (draw,), _ in zip(sampler, range(18 // world_size), strict=False)]
        found = []
        for epoch in range(3):
            sampler.sampler.set_epoch(epoch)
            found += [draw for (draw,) in sampler]
        return found

    found = [(int(draw), draw.epoch) for rank in range(world_size) for draw in draws(rank)]
    assert sorted(found) == [(index, epoch) for index in range(6) for epoch in range(3)]


def test_a_draw_keeps_its_epoch_on_its_way_to_another_process():
    draw = Draw(4)
    draw.epoch = 2
    sent = pickle.loads(pickle.dumps(draw))
    assert (sent, sent.epoch) == (4, 2)


def test_the_wrapper_is_the_dataset_to_all_that_ask():
    dataset = SeededDataset(Images(), seed=1)
    assert len(dataset) == 7
    assert dataset.metainfo == dict(classes=("a",))
    dataset.pipeline = "second"  # as mmdet's PipelineSwitchHook does
    assert dataset.dataset.pipeline == "second"
    for copied in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert copied[3] == dataset[3]
    assert not hasattr(dataset, "nothing")


# --- batches


@pytest.mark.parametrize("batches", [None, dict(type="mmdet.AspectRatioBatchSampler")])
@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_batches_are_those_of_the_sampler_within(batches, batch_size):
    dataset = Images()
    sampler = DefaultSampler(dataset, seed=0)
    expected = list(
        AspectRatioBatchSampler(sampler, batch_size)
        if batches
        else torch.utils.data.BatchSampler(sampler, batch_size, drop_last=False)
    )
    found = loader(SeededDataset(dataset), batch_size, batches)
    assert len(found) == len(expected)
    assert [[index for index, _ in batch] for batch in found] == expected


@given(skip=st.integers(0, 4))
def test_what_is_left_out_is_left_out_once_and_not_loaded(skip):
    loaded, whole = [], epochs(loader(SeededDataset(Images())))

    class Counted(Images):
        def __getitem__(self, index):
            loaded.append(index)
            return super().__getitem__(index)

    rest = loader(SeededDataset(Counted()))
    rest.batch_sampler.skip = skip
    assert epochs(rest) == [whole[0][skip:], whole[1]]
    assert len(loaded) == sum(len(batch) for batch in [*whole[0][skip:], *whole[1]])


# --- the config


def config(**loader):
    return Config(
        dict(
            train_dataloader=dict(batch_size=2, dataset=dict(type="RepeatDataset", dataset=dict(type="A")), **loader),
            randomness=dict(seed=4),
            custom_hooks=[dict(type="Other")],
        )
    )


def test_a_config_is_made_reproducible_once_and_follows_its_seed():
    cfg = config(batch_sampler=dict(type="AspectRatioBatchSampler"))
    set_reproducible(cfg)
    assert cfg.train_dataloader.dataset == dict(
        type="SeededDataset", seed=4, dataset=dict(type="RepeatDataset", dataset=dict(type="A"))
    )
    assert cfg.train_dataloader.batch_sampler.batches.type == "AspectRatioBatchSampler"
    assert [hook.type for hook in cfg.custom_hooks] == ["IterationSeedHook", "Other"]
    again = copy.deepcopy(cfg)
    again.randomness.seed = 9
    set_reproducible(again)
    cfg.train_dataloader.dataset.seed = 9
    assert (again.train_dataloader, again.custom_hooks) == (cfg.train_dataloader, cfg.custom_hooks)


def test_drop_last_moves_to_the_sampler_that_can_take_it():
    cfg = config(drop_last=True)
    set_reproducible(cfg)
    assert "drop_last" not in cfg.train_dataloader
    assert cfg.train_dataloader.batch_sampler.drop_last is True
    assert len(SeededBatchSampler(DefaultSampler(Images()), batch_size=2, drop_last=True)) == 3
