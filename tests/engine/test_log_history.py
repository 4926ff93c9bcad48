"""What mmengine keeps of logged values: as much as its lines are made of."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from mmengine.runner import LogProcessor

from rgacli.engine.log_history import LogHistoryHook
from tests.support import tiny
from tests.support.running import At, run

EPOCH = 4  # iterations


def runner_of(processor, name):
    return SimpleNamespace(
        log_processor=processor,
        message_hub=MessageHub(name),
        train_loop=SimpleNamespace(dataloader=range(EPOCH)),
        val_loop=SimpleNamespace(dataloader=range(2)),
        iter=0,
    )


def custom(window):
    named = dict(data_src="loss", log_name="custom", method_name="max")
    return [named if window is None else dict(named, window_size=window)]


@pytest.mark.parametrize("window", ["epoch", "global", None, 2, 9])
@pytest.mark.parametrize("default", [1, 3, 10])
def test_lines_are_what_they_were(default, window):
    bounded, whole = (runner_of(LogProcessor(default, custom_cfg=custom(window)), f"{default}") for _ in range(2))
    hook = LogHistoryHook()
    hook.before_train(bounded)
    for iteration in range(30):
        for runner in (bounded, whole):
            runner.iter = iteration
            runner.message_hub.update_scalar("train/loss", float(iteration * 7 % 30))
            runner.message_hub.update_scalar("val/time", float(iteration))
        hook.after_train_iter(bounded, iteration % EPOCH)
        ours, theirs = (
            runner.log_processor._collect_scalars(
                runner.log_processor._parse_windows_size(runner, iteration % EPOCH), runner, "train"
            )
            for runner in (bounded, whole)
        )
        assert ours == theirs
    kept = len(bounded.message_hub.get_scalar("train/loss").data[0])
    assert kept == (30 if window in ("global", None) else max(default, EPOCH, 9 if window == 9 else 0))


def test_a_training_keeps_no_more_than_its_lines_take(tiny_dataset, tmp_path):
    """Of all values, also those that hooks hand over."""
    kept = {}

    def look(runner):
        kept.update({name: len(history.data[0]) for name, history in runner.message_hub.log_scalars.items()})

    run(tiny.training_config(tiny_dataset, tmp_path), tmp_path, At(2 * EPOCH + 1, look))
    assert max(kept.values()) == EPOCH
    assert kept["train/loss"] == kept["train/lr"] == EPOCH
