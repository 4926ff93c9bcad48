"""What metrics.jsonl says of the heads' draws, against a count by hand."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub

from rgacli.engine.sampling_statistics import SamplingStatisticsHook
from tests.support import tiny
from tests.support.running import At, interrupted, logged, resumed, run


def outputs(positives, negatives, right_positives=0, right_negatives=0, images=2, head="1to9"):
    """What a head says of a batch."""
    found = {
        f"{head}.positives": torch.tensor(positives / images),
        f"{head}.negatives": torch.tensor(negatives / images),
    }
    if positives:
        found[f"{head}.acc_pos"] = torch.tensor(100 * right_positives / positives)
    if negatives:
        found[f"{head}.acc_neg"] = torch.tensor(100 * right_negatives / negatives)
    return found


@pytest.fixture
def runner():
    hub = MessageHub("statistics")
    return SimpleNamespace(message_hub=hub, hooks=[LoggerHook(interval=3)], train_dataloader=range(7))


def after(hook, runner, batch_idx, found, images=2):
    for key, value in found.items():  # as mmengine's RuntimeInfoHook does before
        runner.message_hub.update_scalar(f"train/{key}", value)
    hook.after_train_iter(runner, batch_idx, {"data_samples": [None] * images}, found)


def current(runner, head="1to9"):
    scalars = runner.message_hub.log_scalars
    return {key.rpartition(".")[2]: scalars[key].current() for key in scalars if key.startswith(f"train/{head}.")}


def test_numbers_are_means_over_the_window_and_accuracies_hits_over_numbers(runner):
    hook = SamplingStatisticsHook()
    for index, batch in enumerate([outputs(2, 6, 1, 6), outputs(8, 0, 2), outputs(0, 10, 0, 4)]):
        after(hook, runner, index, batch)
    assert current(runner) == pytest.approx(
        {"positives": 10 / 6, "negatives": 16 / 6, "acc_pos": 100 * 3 / 10, "acc_neg": 100 * 10 / 16}
    )


@pytest.mark.parametrize("resume", [False, True])
def test_a_window_goes_on_in_a_resumed_training_and_in_no_other_that_starts_from_a_checkpoint(runner, resume):
    hook, runner._resume = SamplingStatisticsHook(), resume
    hook.after_load_checkpoint(runner, {"sampling_statistics": {"1to9": torch.tensor([2.0, 4, 4, 4, 4])}})
    after(hook, runner, 2, outputs(0, 4, 0, 1))
    assert current(runner)["positives"] == (1 if resume else 0)


def test_a_window_begins_after_the_line_before(runner):
    hook = SamplingStatisticsHook()
    for index, batch in enumerate([outputs(4, 4, 4, 4)] * 3 + [outputs(2, 2, 0, 1)] * 3):
        after(hook, runner, index, batch)
    assert current(runner) == pytest.approx({"positives": 1, "negatives": 1, "acc_pos": 0, "acc_neg": 50})


def test_an_accuracy_on_nothing_is_left_out_and_not_repeated(runner):
    hook = SamplingStatisticsHook()
    for index, batch in enumerate([outputs(4, 4, 4, 4)] * 3 + [outputs(0, 4, 0, 1)] * 3):
        after(hook, runner, index, batch)
    assert current(runner) == pytest.approx({"positives": 0, "negatives": 2, "acc_neg": 25})


def test_batches_of_different_sizes_count_by_their_images(runner):
    hook = SamplingStatisticsHook()
    for index, images in enumerate([1, 4, 1]):
        after(hook, runner, index, outputs(images * 3, images, images=images), images)
    assert current(runner)["positives"] == pytest.approx(3)


def test_every_head_of_every_stage_has_its_own(runner):
    hook = SamplingStatisticsHook()
    for index in range(3):
        after(hook, runner, index, outputs(2, 2, head="s0.1to1") | outputs(4, 2, head="s1.1to1"))
    assert current(runner, "s0.1to1")["positives"] == 1
    assert current(runner, "s1.1to1")["positives"] == 2


def recorded(store):
    """Notes what each iteration's batch said."""

    class Recording(At):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            store.append({key: float(value) for key, value in outputs.items() if "1to9" in key and "loss" not in key})

    return Recording(0, None)


WINDOW = {"default_hooks.logger.interval": 3, "train_cfg": dict(max_epochs=2)}


def test_a_training_logs_what_a_count_by_hand_of_its_iterations_gives(tiny_dataset, tmp_path):
    told = []
    run(tiny.training_config(tiny_dataset, tmp_path, **WINDOW), tmp_path, recorded(told))
    lines = logged(tmp_path)
    assert [line["iter"] for line in lines] == [3, 7]  # the third of each epoch's four
    for line, window in zip(lines, (told[:3], told[3:7]), strict=True):
        positives = sum(batch["1to9.positives"] for batch in window)
        assert line["1to9.positives"] == pytest.approx(positives / len(window))
        right = sum(batch["1to9.positives"] * batch.get("1to9.acc_pos", 0) for batch in window)
        assert line["1to9.acc_pos"] == pytest.approx(right / positives)


def test_a_resumed_run_logs_the_window_that_it_was_stopped_in(tiny_dataset, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    run(tiny.training_config(tiny_dataset, whole, **WINDOW), whole)
    checkpoint = interrupted(tiny_dataset, stopped, 5, **WINDOW)
    resumed(stopped, checkpoint)
    keys = [f"{head}.{name}" for head in ("1to1", "1to9") for name in ("positives", "negatives", "acc_pos", "acc_neg")]
    assert [[line[key] for key in keys] for line in logged(stopped)] == [
        pytest.approx([line[key] for key in keys]) for line in logged(whole)
    ]
