import logging
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader

from rgacli.engine.runner import QuietRunner, ResumableTrainLoop, _tell_once, is_inside_epoch
from rgacli.errors import UsageError

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


def test_a_text_log_on_a_full_disk_is_told_of_once_and_ends_nothing(caplog, capsys):
    caplog.set_level(logging.INFO, logger="rgacli")
    handler = logging.FileHandler("/dev/full")
    handler.handleError = partial(_tell_once, handler)
    for _ in range(2):
        handler.handle(logging.makeLogRecord({"msg": "a step"}))
    assert [record.getMessage() for record in caplog.records] == [
        "the text log /dev/full is not whole (No space left on device)."
    ]
    assert capsys.readouterr().err == ""
    with pytest.raises(OSError, match="No space left"):  # what is left of it
        handler.close()


@pytest.mark.parametrize("meta", [{"config": "raise SystemExit", "epoch": 1}, {"epoch": 1}])
def test_no_config_is_left_in_a_checkpoint_for_mmengine_to_run(monkeypatch, meta):
    monkeypatch.setattr(Runner, "load_checkpoint", lambda self, *arguments, **options: {"meta": dict(meta)})
    assert object.__new__(QuietRunner).load_checkpoint("a.pth") == {"meta": {"epoch": 1}}


def test_a_second_training_of_a_name_has_trackers_of_its_own(tmp_path):
    runner = object.__new__(QuietRunner)
    runner._experiment_name, runner._log_dir, runner._randomness_cfg = "again", str(tmp_path), dict(seed=0)
    settings = dict(type="Visualizer", name="runs/again", save_dir=str(tmp_path))
    backends = [dict(type="LocalVisBackend", name="a")], [dict(type="LocalVisBackend", name="b")]
    first, second = (runner.build_visualizer(dict(settings, vis_backends=some)) for some in backends)
    assert [list(one._vis_backends) for one in (first, second)] == [["a"], ["b"]]
    assert Visualizer.get_current_instance() is second


def without_optimizer(runner, filename):
    raise KeyError("message_hub")


def before_its_beginning(runner, filename):
    runner._train_loop = type("Loop", (), {"epoch": -3, "iter": -7})()


@pytest.mark.parametrize("resume", [without_optimizer, before_its_beginning])
def test_what_no_training_saved_is_not_gone_on_from(monkeypatch, resume):
    monkeypatch.setattr(Runner, "resume", resume)
    with pytest.raises(UsageError, match=r"checkpoint a\.pth holds no state .*weights=a\.pth"):
        object.__new__(QuietRunner).resume("a.pth")


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
