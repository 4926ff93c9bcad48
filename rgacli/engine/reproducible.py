"""Random numbers as a function of what they are drawn for, so that nothing of them needs to be saved.

What a sampler draws in an iteration depends on the seed, the rank and the iteration; how an image is augmented on the
seed, the pass over the dataset and the image. A run that is resumed, even in the middle of an epoch, therefore goes on
as if it had never stopped, and augmentation depends neither on the number of workers nor on that of processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS, DATASETS, HOOKS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, Sampler

# What a key is for: else an iteration would draw what an image of the same number was augmented by.
ITERATION, IMAGE = 1, 2


def seed_all(*key: int) -> None:
    """Seed Python, NumPy and torch (on every device) by a key of non-negative numbers."""
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]))


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed a block by a key. The caller's random numbers go on after it as if nothing had been drawn in it."""
    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        seed_all(*key)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def set_reproducible(cfg: Config) -> None:
    """Put the parts of this module into a training config, in place; what is there already stays."""
    seed = cfg.get("randomness", {}).get("seed") or 0
    loader = cfg.train_dataloader
    dataset = loader.dataset
    if dataset.type == SeededDataset.__name__:
        dataset.seed = seed
    else:
        loader.dataset = dict(type=SeededDataset.__name__, seed=seed, dataset=dataset)
    batches = loader.get("batch_sampler")
    if not batches or batches.type != SeededBatchSampler.__name__:
        loader.batch_sampler = dict(
            type=SeededBatchSampler.__name__, batches=batches, drop_last=loader.pop("drop_last", False)
        )
    hooks = cfg.get("custom_hooks") or []
    if not any(hook.type == IterationSeedHook.__name__ for hook in hooks):
        cfg.custom_hooks = [dict(type=IterationSeedHook.__name__), *hooks]


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Hook that seeds each training iteration by the run's seed, the rank and the iteration."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the iteration: its batch is loaded by now, and what is drawn from here on belongs to it."""
        seed_all(ITERATION, runner.seed, runner.rank, runner.iter)


class Draw(int):
    """The index of an image which knows in which pass over the dataset (from 0) it is drawn."""

    epoch = 0


@DATASETS.register_module()
class SeededDataset:
    """A dataset whose item depends on the seed, the pass over the dataset and the index, whoever asks for it.

    All else is the wrapped dataset's, attributes that are set included: some of mmdet's hooks change its pipeline.

    Args:
        dataset: A dataset or its config.
        seed: Of the run.
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        built = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        self.__dict__.update(dataset=built, seed=seed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # asked of an object that is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.dataset, name, value)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        with seeded(IMAGE, self.seed, getattr(index, "epoch", 0), index):
            return self.dataset[index]


@DATA_SAMPLERS.register_module()
class SeededBatchSampler(BatchSampler):
    """Batches of `Draw`s for a SeededDataset, which can leave out those that a run trained on before it was resumed.

    Args:
        sampler: Yields the indices of images.
        batch_size: Images in a batch.
        batches: Config of the batch sampler that does the grouping, such as mmdet's AspectRatioBatchSampler; without
            one, images are grouped as they come.
        drop_last: Whether to leave out an incomplete last batch, where `batches` is not given.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, batches: Mapping[str, Any] | None = None, drop_last: bool = False
    ) -> None:
        self.sampler = sampler  # mmengine sets its epoch
        draws = _Draws(sampler)
        self._batches = (
            DATA_SAMPLERS.build({"batch_size": batch_size, **batches, "sampler": draws})
            if batches
            else BatchSampler(draws, batch_size, drop_last)
        )
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.skip = 0
        """How many batches the next pass leaves out at its beginning, without loading them."""

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.skip = self.skip, 0
        yield from islice(self._batches, skip, None)

    def __len__(self) -> int:
        return len(self._batches)


class _Draws(Sampler):
    """A sampler's indices, each with its pass: what its epoch says, or what has gone by of an endless sampler."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler, self.dataset = sampler, sampler.dataset

    def __iter__(self) -> Iterator[Draw]:
        rank, world_size = get_dist_info()
        for position, index in enumerate(self.sampler):
            draw = Draw(index)
            draw.epoch = getattr(self.sampler, "epoch", 0) + (rank + position * world_size) // len(self.dataset)
            yield draw

    def __len__(self) -> int:
        return len(self.sampler)
