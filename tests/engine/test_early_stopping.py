import math
from types import SimpleNamespace

import pytest

from rgacli.engine.annealing import GradientAnnealingHook
from rgacli.engine.early_stopping import PatienceHook
from rgacli.engine.runner import ResumableIterLoop
from rgacli.evaluation.variants_metric import VariantsCocoMetric
from tests.support import tiny
from tests.support.running import resumed, run

# A run that is resumed in the same process finds its visualizer and logger there already.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been created, the method")


def validations_until_it_stops(scores, patience, metric="coco/ensemble/AP", hooks=()):
    """How many validations a training takes to stop; None if it does not."""
    hub = SimpleNamespace(get_scalar=lambda name: SimpleNamespace(current=lambda: 4.25))
    loop = SimpleNamespace(stop_training=False)
    runner = SimpleNamespace(train_loop=loop, hooks=list(hooks), message_hub=hub, epoch=0, max_epochs=12)
    hook = PatienceHook(metric, patience)
    for runner.epoch, score in enumerate(scores, start=1):
        hook.after_val_epoch(runner, {metric: score})
        if loop.stop_training:
            return runner.epoch
    return None


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ((0.1, 0.2, 0.2, 0.2), 2, 4),
        ((0.1, 0.2, 0.15, 0.21, 0.1, 0.2), 2, 6),
        ((0.1, 0.05, 0.11, 0.1, 0.12), 2, None),
        ((0.3, 0.1), 1, 2),
        ((0.0, 0.0, 0.0, 0.0), 3, 4),
        ((0.1, math.nan, None), 2, 3),
        ((math.nan, 0.1, 0.1), 2, None),
    ],
)
def test_training_stops_after_so_many_validations_without_a_better_value(scores, patience, expected):
    assert validations_until_it_stops(scores, patience) == expected


def test_of_a_miss_rate_less_is_better():
    falling, rising = (0.9, 0.8, 0.7, 0.6), (0.6, 0.7, 0.8)
    assert validations_until_it_stops(falling, 1, "crowdhuman/ensemble/mMR") is None
    assert validations_until_it_stops(rising, 2, "crowdhuman/ensemble/mMR") == 3


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (GradientAnnealingHook(), True),
        (GradientAnnealingHook(anneal="none"), False),
        (GradientAnnealingHook(lambda0=1), False),
        (None, False),
    ],
)
def test_it_says_what_was_not_bettered_and_how_far_lambda_had_come(caplog, hook, told):
    caplog.set_level("INFO", logger="rgacli")
    validations_until_it_stops((0.5, 0.4, 0.3), 2, hooks=[hook] if hook else [])
    assert "stopped after epoch 3: no coco/ensemble/AP better than 0.500 in 2 validations" in caplog.text
    assert ("λ had come from 7 to 4.25: it would have been 1 at the end of all 12 epochs" in caplog.text) == told


def test_a_stopped_run_has_a_checkpoint_of_its_end_and_stops_there_again_when_resumed(
    tiny_dataset, tmp_path, monkeypatch
):
    found = iter([0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(VariantsCocoMetric, "compute_metrics", lambda *_: {"ensemble/AP": next(found)})
    settings = {"train_cfg": dict(max_epochs=6, val_interval=1), "default_hooks.checkpoint.interval": 2}
    cfg = tiny.training_config(tiny_dataset, tmp_path, **settings)
    cfg.custom_hooks += [dict(type="PatienceHook", monitor="coco/ensemble/AP", patience=2)]
    (tmp_path / "config.py").write_text(cfg.pretty_text)
    run(cfg, tmp_path)
    folder = tmp_path / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"epoch_2.pth", "epoch_3.pth"}
    assert resumed(tmp_path, folder / "epoch_3.pth") == 0
    assert next(found) == 0.1  # nothing was validated again


def test_a_training_by_iterations_is_told_of_in_these(caplog):
    caplog.set_level("INFO", logger="rgacli")
    hub = SimpleNamespace(get_scalar=lambda name: SimpleNamespace(current=lambda: 4.25))
    own = dict(hooks=[GradientAnnealingHook()], message_hub=hub, epoch=0, iter=300, max_epochs=1, max_iters=900)
    loop = object.__new__(ResumableIterLoop)
    hook = PatienceHook("coco/AP", 1)
    for score in (0.5, 0.4):
        hook.after_val_epoch(SimpleNamespace(train_loop=loop, **own), {"coco/AP": score})
    assert "stopped after iteration 300: no coco/AP better" in caplog.text
    assert "at the end of all 900 iterations" in caplog.text
