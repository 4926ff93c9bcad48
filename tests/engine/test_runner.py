from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from rgacli.engine.runner import QuietRunner, ResumableTrainLoop, is_inside_epoch

SETTINGS = dict(batch_size=2, sampler=dict(type="DefaultSampler", shuffle=False))
OF_WORKERS = dict(persistent_workers=True, prefetch_factor=4, timeout=30, multiprocessing_context="spawn")


def loader(**settings):
    return QuietRunner.build_dataloader(dict(dataset=torch.utils.data.TensorDataset(torch.arange(4)), **settings))


@pytest.mark.parametrize("workers", [dict(num_workers=0), {}])
def test_a_dataloader_without_processes_does_without_what_is_said_of_them(workers):
    built = loader(**SETTINGS, **OF_WORKERS, **workers)
    assert (built.batch_size, built.num_workers, built.persistent_workers, built.prefetch_factor) == (2, 0, False, None)
    assert len(list(built)) == 2


def test_a_dataloader_with_processes_keeps_what_is_said_of_them():
    built = loader(**SETTINGS, **OF_WORKERS, num_workers=1)
    assert (built.num_workers, built.persistent_workers, built.prefetch_factor, built.timeout) == (1, True, 4, 30)


def test_a_dataloader_that_is_built_stays():
    built = DataLoader([1])
    assert QuietRunner.build_dataloader(built) is built


@pytest.mark.parametrize(
    ("kind", "epoch", "iteration", "inside"),
    [
        (ResumableTrainLoop, 0, 0, False),
        (ResumableTrainLoop, 0, 3, True),
        (ResumableTrainLoop, 0, 4, True),  # whose validation is yet to come
        (ResumableTrainLoop, 1, 4, False),
        (IterBasedTrainLoop, 0, 3, False),
    ],
)
def test_an_epoch_ends_after_its_last_iteration(kind, epoch, iteration, inside):
    loop = kind.__new__(kind)
    loop.dataloader = range(4)
    assert is_inside_epoch(SimpleNamespace(train_loop=loop, epoch=epoch, iter=iteration)) is inside
