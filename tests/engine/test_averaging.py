import json
import math
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from rgacli.engine.averaging import StepEMAHook, set_ema
from rgacli.engine.hooks import Interrupted
from rgacli.errors import UsageError
from rgacli.modeling.build import build_detector
from rgacli.runs import Run
from rgacli.trained import find_trained
from tests.support import tiny
from tests.support.running import ITERATIONS, At, assert_same, interrupted, resumed, run, saved

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")

TWO = {"optim_wrapper.accumulative_counts": 2}  # iterations to a step
WEIGHT = "roi_head.bbox_head.1.fc_cls.weight"


def averaged(settings):
    """Settings of a training with an average of large momentum, which lags behind the weights visibly."""
    cfg = Config({"custom_hooks": tiny.tiny_config().get("custom_hooks") or []})
    set_ema(cfg, 0.3)
    return {**settings, "custom_hooks": cfg.custom_hooks}


@pytest.fixture(scope="module")
def whole(tiny_dataset, tmp_path_factory):
    """Folder of a run that accumulates and averages, and the weights after each iteration. Not to be written to."""
    folder, weights = tmp_path_factory.mktemp("averaged"), []

    def note(runner):
        weights.append(dict(runner.model.named_parameters())[WEIGHT].detach().clone())

    cfg = tiny.training_config(tiny_dataset, folder, **averaged(TWO))
    (folder / "config.py").write_text(cfg.pretty_text)
    run(cfg, folder, *(At(iteration + 1, note) for iteration in range(ITERATIONS)))
    return folder, weights


def test_what_is_saved_is_the_average_over_optimizer_steps(whole):
    folder, weights = whole
    steps = weights[1::2]  # a step after every second iteration
    expected = steps[0]
    for number, new in enumerate(steps[1:], start=1):  # mmdet's ExpMomentumEMA
        momentum = 0.7 * math.exp(-(1 + number) / 2000) + 0.3
        expected = (1 - momentum) * expected + momentum * new
    content = torch.load(folder / "checkpoints/epoch_3.pth", weights_only=True)
    torch.testing.assert_close(content["state_dict"][WEIGHT], expected)
    assert torch.equal(content["ema_state_dict"][f"module.{WEIGHT}"], weights[-1])
    assert not torch.equal(content["state_dict"][WEIGHT], weights[-1])


def test_a_detector_that_is_loaded_has_the_average(whole):
    folder, _ = whole
    content = torch.load(folder / "checkpoints/epoch_3.pth", weights_only=True)
    model = build_detector(find_trained(folder).cfg, find_trained(folder).checkpoint, "cpu")
    assert_same(dict(model.state_dict()), dict(content["state_dict"]))


@pytest.mark.slow
def test_the_average_is_what_is_validated_and_training_goes_on_with_the_weights(tiny_dataset, tmp_path, whole):
    seen = {}

    class Look(At):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            seen["validated"] = dict(runner.model.named_parameters())[WEIGHT].detach().clone()

    settings = averaged({**TWO, "train_cfg": dict(max_epochs=3, val_interval=2)})
    run(tiny.training_config(tiny_dataset, tmp_path, **settings), tmp_path, Look(0, None))
    assert torch.equal(seen["validated"], saved(tmp_path)["state_dict"][WEIGHT])
    assert_same(saved(tmp_path), saved(whole[0]))  # although it validated once more


@pytest.mark.parametrize("iteration", [6, pytest.param(8, marks=pytest.mark.slow)])
def test_an_interrupted_run_goes_on_with_its_average(tiny_dataset, tmp_path, whole, iteration):
    checkpoint = interrupted(tiny_dataset, tmp_path, iteration, **averaged(TWO))
    assert resumed(tmp_path, checkpoint) == ITERATIONS - iteration
    for part in ("state_dict", "ema_state_dict", "optimizer"):
        found, expected = (
            torch.load(folder / "checkpoints/epoch_3.pth", weights_only=True)[part] for folder in (tmp_path, whole[0])
        )
        assert_same(found, expected)


@pytest.mark.parametrize("content", [lambda weights: weights, lambda weights: {"state_dict": weights}])
def test_the_average_starts_from_weights_with_and_without_anything_around_them(content):
    model, weights = torch.nn.Linear(1, 1), {"weight": torch.tensor([[3.0]]), "bias": torch.tensor([4.0])}
    hook, runner = StepEMAHook(), SimpleNamespace(model=model, _resume=False)
    hook.before_run(runner)
    hook.after_load_checkpoint(runner, content(weights))
    assert_same(dict(hook.ema_model.module.state_dict()), weights)


class SignalWhileValidating(Hook):
    """Sends a signal in the second epoch's validation."""

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_what_was_trained_before_a_validation_that_a_signal_ends_is_saved(tiny_dataset, tmp_path, whole):
    """The trained weights, and not the average that is validated in their place; to the last bit."""
    rare = {"default_hooks.checkpoint.interval": 9, "train_cfg": dict(max_epochs=3, val_interval=1)}
    cfg = tiny.training_config(tiny_dataset, tmp_path, **averaged({**TWO, **rare}))
    (tmp_path / "config.py").write_text(cfg.pretty_text)
    with pytest.raises(Interrupted, match="stopped by SIGINT while validating epoch 2"):
        run(cfg, tmp_path, SignalWhileValidating())
    last = Run(tmp_path).last_checkpoint()
    assert last.name == "epoch_2.pth"
    assert resumed(tmp_path, last) == 4
    assert_same(saved(tmp_path), saved(whole[0]))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open() if "AP" in line]
    assert steps == [4, 8, 12]  # the one that was not finished is made up for


def test_the_average_takes_the_place_of_one_that_the_config_has():
    cfg = Config({"custom_hooks": [dict(type="EMAHook"), dict(type="Other")]})
    set_ema(cfg, None)
    assert [hook.type for hook in cfg.custom_hooks] == ["Other", "StepEMAHook"]
    assert cfg.custom_hooks[1].momentum == 0.0002


@pytest.mark.parametrize("momentum", [0, -0.1, 0.5, 0.9998, math.nan])
def test_a_momentum_that_is_a_decay_or_no_share_is_refused(momentum):
    with pytest.raises(UsageError, match=rf"ema_momentum={momentum:g}: .* such as 0.0002 \(which is a decay of 0.9998"):
        set_ema(Config({}), momentum)
