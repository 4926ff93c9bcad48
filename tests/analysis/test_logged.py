import numpy as np
import pytest

from rgacli.analysis.logged import ON_NEGATIVES, ON_POSITIVES, POSITIVES, read, require_heads, statistic_of
from rgacli.errors import UsageError
from tests.support.tiny import stock_config, tiny_config

VARIANTS = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}
NAN = float("nan")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("1to9.acc_pos", (ON_POSITIVES, "1:9")),
        ("1to1.acc_neg", (ON_NEGATIVES, "1:1")),
        ("1to1.positives", (POSITIVES, "1:1")),
        ("s0.1to1.positives", (POSITIVES, "1:1")),
        ("s1.1to1.positives", None),
        ("1to1.negatives", None),
        ("1to1.loss_cls", None),
        ("3to1.positives", None),
        ("positives", None),
        ("acc", None),
        ("coco/1to1/AP", None),
    ],
)
def test_a_logged_value_belongs_to_a_statistic_of_a_head(key, place):
    assert statistic_of(key, VARIANTS) == place


@pytest.fixture
def cfg():
    cfg = tiny_config(ratios=["1:1", "1:9"])
    cfg.custom_hooks = [dict(type="GradientAnnealingHook", lambda0=5.0)]
    cfg.randomness = dict(seed=3)
    return cfg


def test_a_training_is_read_by_head_with_gaps_where_an_accuracy_on_nothing_was_left_out(cfg):
    lines = [
        {"loss": 1.0, "1to1.positives": 2.0, "1to1.acc_pos": 50.0, "1to9.positives": 0.0, "epoch": 1, "step": 5},
        {"loss": 1.0, "1to1.positives": 3.0, "1to1.acc_pos": None, "1to9.acc_pos": 7.0, "epoch": 2, "step": 10},
        {"coco/ensemble/AP": 0.25, "coco/1to1/AP": None, "time": 0.1, "step": 10},
    ]
    found = read("mine", cfg, lines)
    assert found.iterations.tolist() == [5, 10]
    assert set(found.statistics) == {
        (POSITIVES, "1:1"),
        (POSITIVES, "1:9"),
        (ON_POSITIVES, "1:1"),
        (ON_POSITIVES, "1:9"),
    }
    np.testing.assert_array_equal(found.of(POSITIVES)["1:1"], [2, 3])
    np.testing.assert_array_equal(found.of(POSITIVES)["1:9"], [0, NAN])
    np.testing.assert_array_equal(found.of(ON_POSITIVES)["1:1"], [50, NAN])
    np.testing.assert_array_equal(found.of(ON_POSITIVES)["1:9"], [NAN, 7])
    assert found.of(ON_NEGATIVES) == {}
    assert found.quotas == {"1:1": 8, "1:9": 1}
    assert (found.name, found.method, found.seed, found.is_cascade) == ("mine", "λ0 5", 3, False)
    (validation,) = found.validations
    assert (validation.epoch, validation.iteration, validation.metric, validation.score) == (2, 10, "AP", 0.25)


def test_lines_are_put_in_order_and_what_was_logged_twice_counts_once(cfg):
    steps = [5, 10, 15, 10]
    found = read("mine", cfg, [{"1to1.positives": float(i), "step": step} for i, step in enumerate(steps)])
    assert found.iterations.tolist() == [5, 10, 15]
    assert found.of(POSITIVES)["1:1"].tolist() == [0, 3, 2]


def test_what_rga_was_trained_with_is_said(cfg):
    cfg.custom_hooks[0].anneal = "none"
    assert read("mine", cfg, []).method == "λ0 5, not annealed"
    cfg.custom_hooks[0].update(anneal="linear", lambda0=1.0)
    assert read("mine", cfg, []).method == "no RGA"
    cfg.custom_hooks = []
    assert (read("mine", cfg, []).method, read("mine", cfg, []).lambda0) == ("no RGA", 1)


def test_detectors_whose_heads_log_nothing_are_refused_and_told_why(cfg):
    lines = [{"loss": 1.0, "loss_cls": 0.5, "acc": 90.0, "step": 5}]
    plain = read("plain", stock_config(), lines)
    dense = stock_config()
    dense.model = dict(type="RetinaNet", bbox_head=dict(type="RetinaHead"))
    for training, complaint in [
        (read("prm", cfg, lines), "run prm logged nothing yet of what its heads drew"),
        (plain, "run plain trained mmdet's own heads, .* trained with ratios=1:3 lambda0=1, the same"),
        (read("dense", dense, lines), "run dense trained a detector without R-CNN heads"),
    ]:
        with pytest.raises(UsageError) as refused:
            require_heads([training])
        refused.match(complaint)
    require_heads([plain, read("prm", cfg, [{"1to1.positives": 1.0, "step": 5}])])
