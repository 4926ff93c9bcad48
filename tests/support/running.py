"""Training the tiny detector, stopping it, and looking at what it left."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from rgacli.engine.hooks import Interrupted
from rgacli.engine.training import set_run_folder, train
from tests.support import tiny

ITERATIONS = 12  # 3 epochs of 4


class At(Hook):
    """Does something once, after (or before) an iteration."""

    def __init__(self, iteration, act, before=False):
        self.iteration, self.act, self.before = iteration, act, before

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.before and runner.iter + 1 == self.iteration:
            self.act(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.before and runner.iter + 1 == self.iteration:
            self.act(runner)


class Counting(Hook):
    """Counts the iterations trained."""

    def __init__(self):
        self.count = 0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.count += 1


def run(cfg, folder, *hooks, resume_from=None):
    train(cfg, folder / "checkpoints", folder / "metrics.jsonl", hooks, resume_from)


def interrupted(dataset, folder, iteration, number=signal.SIGINT, **settings):
    """A run that a signal stopped during an iteration."""
    cfg = tiny.training_config(dataset, folder, **settings)
    (folder / "config.py").write_text(cfg.pretty_text)
    with pytest.raises(Interrupted) as stop:
        run(cfg, folder, At(iteration, lambda runner: os.kill(os.getpid(), number)))
    assert str(stop.value) == f"stopped by {number.name} after iteration {iteration}."
    return folder / f"checkpoints/iter_{iteration}.pth"


def resumed(folder, checkpoint):
    """Goes on with a run by the config that it left. Returns the number of iterations trained."""
    cfg, counting = Config.fromfile(folder / "config.py"), Counting()
    set_run_folder(cfg, folder, folder / "checkpoints")
    run(cfg, folder, counting, resume_from=checkpoint)
    return counting.count


def logged(folder):
    """The lines of metrics.jsonl that training left; every line has to be JSON of the strict kind."""
    lines = [json.loads(line, parse_constant=pytest.fail) for line in (folder / "metrics.jsonl").open()]
    return [line for line in lines if "loss" in line]


def saved(folder, name="epoch_3.pth"):
    """What a checkpoint holds of the model, the optimizer and the schedules."""
    content = torch.load(folder / "checkpoints" / name, weights_only=True)
    return {part: content[part] for part in ("state_dict", "optimizer", "param_schedulers")}


def assert_same(one, other, path="checkpoint"):
    """Every tensor and number in two nested states is the same to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    elif isinstance(one, (dict, list)):
        assert len(one) == len(other), path
        for key, value in one.items() if isinstance(one, dict) else enumerate(one):
            assert_same(value, other[key], f"{path}.{key}")
    else:
        assert one == other, path
