import json

import pytest

from rgacli.engine import divergence as module
from rgacli.engine.divergence import DivergenceHook, Stretch, Watch, divergence


def epoch(number, loss=2.0, positives=30.0, negatives=95.0, head="1to1", **others):
    """Four logged steps of an epoch, whose accuracies are these."""
    lines = []
    for index in range(4):
        accuracies = {f"{head}.positives": 8.0, f"{head}.negatives": 40.0, f"{head}.acc_pos": positives}
        accuracies |= {f"{head}.acc_neg": negatives} if negatives is not None else {}
        lines.append(dict(loss=loss, epoch=number, step=4 * (number - 1) + index + 1, **accuracies, **others))
    return lines


def blown_up(lines, loss=1e6):
    return [dict(lines[0], loss=loss), *lines[1:]]


NOTHING = dict(positives=0.0, negatives=100.0)  # all is background
ONE_CLASS = dict(positives=9.0, negatives=0.0)  # all is of one class


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [{"step": 1, "coco/ensemble/AP": 0.3}],
        [{"step": 1, "epoch": 1, "loss": 2.0}],  # heads that tell nothing
        epoch(1),
        epoch(1, **NOTHING),  # not learnt yet
        epoch(1, **NOTHING) + epoch(2, **NOTHING),
        epoch(1, loss=5.0) + epoch(2, loss=0.04),
        blown_up(epoch(1)) + epoch(2),  # and come back
        blown_up(epoch(1, **NOTHING)) + epoch(2),
        epoch(1, loss=3.0) + epoch(2, loss=2.0, **NOTHING),  # with a lower loss: of few objects
        epoch(1, positives=6.0) + epoch(2, loss=2.5, **NOTHING),  # there was little to lose
        [dict(line, loss=None) for line in epoch(1, **NOTHING)],
    ],
)
def test_a_training_that_learns_or_has_not_learnt_yet_has_not_diverged(lines):
    assert divergence(lines) is None


@pytest.mark.parametrize("accuracies", [NOTHING, ONE_CLASS])
def test_a_blown_up_loss_and_heads_that_say_one_thing_have(accuracies):
    found = divergence(epoch(1) + blown_up(epoch(2, **accuracies)) + epoch(3, **accuracies))
    assert found.startswith("in epoch 3 no head tells an object from background")
    assert "the loss was at 1e+06" in found


def test_what_was_learnt_and_is_lost_is_told_with_what_it_was():
    found = divergence(epoch(1) + epoch(2, positives=60.0) + epoch(3, loss=4.0, **NOTHING))
    assert "(accuracy on positives 0.0 %, on negatives 100.0 %), as one did in epoch 2 (60.0 %, 95.0 %)" in found


def test_one_head_that_learns_is_enough():
    lines = blown_up([a | b for a, b in zip(epoch(1, **NOTHING), epoch(1, head="s0.1to9"), strict=True)])
    assert divergence(lines) is None


def test_a_log_without_epochs_is_looked_at_by_iterations():
    lines = [
        dict(line, step=step) for line, step in zip(blown_up(epoch(1, **NOTHING)), (1, 999, 1001, 2000), strict=True)
    ]
    for line in lines:
        del line["epoch"]
    assert divergence(lines).startswith("in iterations from 1001 no head")


def test_a_training_is_told_of_its_divergence_once(tmp_path, monkeypatch):
    path, told = tmp_path / "metrics.jsonl", []
    monkeypatch.setattr(module, "tell", told.append)
    hook = DivergenceHook(path)
    for lines in (epoch(1), blown_up(epoch(2, **NOTHING)), epoch(3, **NOTHING)):
        with path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        hook.after_train_epoch(None)
    assert [line[:52] for line in told] == ["the training seems to have diverged: in epoch 2 no h"]


def test_a_training_is_followed_as_its_log_grows(tmp_path, monkeypatch):
    """What a look says is what the whole log says, though each looks at what is new alone."""
    path, told = tmp_path / "metrics.jsonl", []
    monkeypatch.setattr(module, "tell", told.append)
    hook = DivergenceHook(path)
    hook.before_checkpoint(None)  # nothing is logged yet
    lines = epoch(1) + epoch(2, positives=60.0) + epoch(3, positives=40.0) + epoch(4, loss=4.0, **NOTHING)
    for count, line in enumerate(lines, start=1):
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        hook.before_checkpoint(None)
        assert bool(told) == bool(divergence(lines[:count])) == (count > 12)
    assert told == [f"the training seems to have diverged: {divergence(lines)}"]


def test_a_long_training_is_followed_in_few_words():
    """Nothing grows with the number of epochs: held are one epoch's lines, and the best epoch."""
    watch = Watch()
    for number in range(1, 200):
        watch.add(epoch(number))
    assert len(watch._lines) == 4
    assert {type(value) for value in vars(watch).values()} == {str, list, Stretch, float}
