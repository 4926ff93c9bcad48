import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rgacli.engine import hooks
from rgacli.engine.checkpoint_hook import RunCheckpointHook
from rgacli.engine.hooks import Interrupted, InterruptHook, MisfitHook
from rgacli.errors import UsageError


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_goes_on_from_weights_that_fit_and_starts_from_others_with_a_warning(resume, caplog):
    runner = SimpleNamespace(
        model=nn.Linear(2, 3), logger=logging.getLogger("misfit"), _resume=resume, _load_from="epoch_1.pth"
    )
    weights = runner.model.state_dict()
    MisfitHook().after_load_checkpoint(runner, {"state_dict": weights})
    assert not caplog.records
    misfit = {"state_dict": {**weights, "bias": torch.zeros(())}}
    if resume:
        with pytest.raises(
            UsageError, match=r"epoch_1\.pth does not fit the run's config: it has in other shapes bias"
        ):
            MisfitHook().after_load_checkpoint(runner, misfit)
    else:
        MisfitHook().after_load_checkpoint(runner, misfit)
        assert "fits the model in part" in caplog.text


@pytest.mark.parametrize(("part", "value"), [("optimizer", None), ("param_schedulers", 3), ("message_hub", [])])
def test_a_training_goes_on_from_what_a_training_saved(part, value):
    model = nn.Linear(2, 3)
    runner = SimpleNamespace(model=model, logger=logging.getLogger("misfit"), _resume=True, _load_from="epoch_1.pth")
    found = {"state_dict": model.state_dict(), "optimizer": {}, "param_schedulers": [], "meta": {}, part: value}
    with pytest.raises(
        UsageError, match=rf"epoch_1\.pth holds no state .*its {part} is of type {type(value).__name__}"
    ):
        MisfitHook().after_load_checkpoint(runner, found)
    runner._resume = False
    MisfitHook().after_load_checkpoint(runner, found)


def test_several_processes_save_together_once_a_validation_is_done(monkeypatch, caplog, tmp_path):
    """They validate shares of different lengths: between two batches of one, not all can agree."""
    caplog.set_level(logging.INFO, logger="rgacli")
    monkeypatch.setattr(hooks, "get_world_size", lambda: 2)
    checkpoints = RunCheckpointHook(str(tmp_path))
    noted, stopping = {"last_ckpt": f"{tmp_path}/epoch_1.pth"}, InterruptHook(tmp_path)
    hub = SimpleNamespace(get_info=noted.get)
    runner = SimpleNamespace(hooks=[checkpoints, stopping], message_hub=hub, epoch=2, iter=8, train_loop=None)
    monkeypatch.setattr(checkpoints, "save", lambda runner: noted.update(last_ckpt=f"{tmp_path}/epoch_2.pth"))
    stopping.after_val(runner)  # no signal came
    stopping._signal = signal.SIGTERM
    for batch in range(2):
        stopping.after_val_iter(runner, batch)
    assert [record.getMessage() for record in caplog.records] == [
        "SIGTERM: the run stops once this validation is done, as its epoch has no checkpoint yet"
    ]
    for stop in (stopping.after_val, lambda runner: stopping.after_val_iter(runner, 0)):  # saved, and at once by then
        with pytest.raises(Interrupted, match="stopped by SIGTERM while validating epoch 2"):
            stop(runner)
        assert noted["last_ckpt"].endswith("epoch_2.pth")


def test_a_training_in_another_thread_leaves_signals_to_the_main_one():
    before, stopping = signal.getsignal(signal.SIGTERM), InterruptHook(Path("nowhere"))
    with ThreadPoolExecutor() as threads:
        threads.submit(stopping.before_train, None).result()
    assert stopping.is_training
    assert signal.getsignal(signal.SIGTERM) is before
    stopping.restore()
