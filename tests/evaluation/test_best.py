import pytest
import torch
from mmengine.config import Config

from rgacli.errors import UsageError
from rgacli.evaluation.best import monitored, read_best, set_best, set_patience
from rgacli.runs import Run
from tests.support import tiny


def config(metric="VariantsCocoMetric", cfg=None, **checkpoint):
    cfg = cfg or tiny.tiny_config()
    cfg.val_evaluator = dict(type=metric)
    cfg.default_hooks = dict(checkpoint=dict(interval=1, **checkpoint))
    return cfg


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, "coco/ensemble/AP"),
        ("ensemble/AP", "coco/ensemble/AP"),
        ("1:9/AP50", "coco/1to9/AP50"),
        ("1to9/AP50", "coco/1to9/AP50"),
        ("coco/1to9/AP50", "coco/1to9/AP50"),
        ("AP75", "coco/ensemble/AP75"),
        ("ensemble/AP_8plus", "coco/ensemble/AP_8plus"),
    ],
)
def test_a_metric_is_named_by_head_and_metric(named, expected):
    assert monitored(config(), named) == expected


def test_of_a_single_head_the_ensemble_is_that_head():
    cfg = config(cfg=tiny.tiny_config(ratios=["1:3"]))
    assert monitored(cfg, None) == monitored(cfg, "ensemble/AP") == "coco/1to3/AP"
    stock = config(cfg=tiny.stock_config())
    assert monitored(stock, None) == monitored(stock, "detector/AP") == "coco/detector/AP"


def test_on_crowdhuman_it_is_the_miss_rate():
    assert monitored(config("VariantsCrowdHumanMetric"), None) == "crowdhuman/ensemble/mMR"


def test_masks_have_metrics_where_there_are_masks():
    cfg = config()
    with pytest.raises(UsageError, match="mask_AP"):
        monitored(cfg, "ensemble/mask_AP")
    cfg.model.roi_head.mask_head = dict(type="FCNMaskHead")
    assert monitored(cfg, "ensemble/mask_AP") == "coco/ensemble/mask_AP"


@pytest.mark.parametrize("named", ["1:3/AP", "ensemble/mAP", "ensemble", "all/AP", "crowdhuman/ensemble/mMR", ""])
def test_what_is_no_metric_is_answered_by_those_there_are(named):
    if not named:
        assert monitored(config(), named) == "coco/ensemble/AP"
        return
    with pytest.raises(UsageError, match=rf"best={named}: it is HEAD/METRIC. The heads are 1:1, 1:9, ensemble; the me"):
        monitored(config(), named)


def test_the_best_is_kept_by_what_is_asked_for_else_by_what_the_config_says():
    asked, own = config(save_best="coco/1to1/AP", rule="greater"), config(save_best="coco/1to1/AP")
    set_best(asked, "1:9/AP50")
    assert asked.default_hooks.checkpoint == dict(interval=1, save_best="coco/1to9/AP50")
    set_best(own, None)
    assert own.default_hooks.checkpoint == dict(interval=1, save_best="coco/1to1/AP")
    automatic = config(save_best="auto")
    set_best(automatic, None)
    assert automatic.default_hooks.checkpoint == dict(interval=1, save_best="coco/ensemble/AP")
    with pytest.raises(UsageError, match="best=1to1/mAP: it is HEAD/METRIC"):
        set_best(config(save_best="1to1/mAP"), None)
    set_best(own, "none")
    assert own.default_hooks.checkpoint == dict(interval=1)
    bare = config()
    del bare.default_hooks["checkpoint"]
    set_best(bare, None)
    assert bare.default_hooks.checkpoint == dict(save_best="coco/ensemble/AP")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["1:1/AP", "coco/1to9/AP50"], ["coco/1to1/AP", "coco/1to9/AP50"]),
        (("1:9/AP", "1to9/AP", "auto"), ["coco/1to9/AP", "coco/ensemble/AP"]),
        (["1:9/AP"], "coco/1to9/AP"),
        (["auto"], "coco/ensemble/AP"),
    ],
)
def test_each_of_several_metrics_of_a_config_is_looked_at(named, expected):
    cfg = config(save_best=named, rule="greater")
    set_best(cfg, None)
    assert cfg.default_hooks.checkpoint == dict(interval=1, save_best=expected)  # which is better is known of each
    with pytest.raises(UsageError, match="best=coco/bbox_mAP: it is HEAD/METRIC"):
        set_best(config(save_best=[*named, "coco/bbox_mAP"]), None)


def test_patience_goes_by_the_same_metric():
    cfg = config()
    set_best(cfg, "1:9/AP50")
    set_patience(cfg, 3)
    set_patience(cfg, 4)
    hooks = [hook for hook in cfg.custom_hooks if hook["type"] == "PatienceHook"]
    assert hooks == [dict(type="PatienceHook", monitor="coco/1to9/AP50", patience=4)]


@pytest.mark.parametrize("save_best", [None, ["coco/1to1/AP", "coco/1to9/AP"]])
def test_patience_without_one_metric_is_refused(save_best):
    cfg = config(**dict(save_best=save_best) if save_best else {})
    with pytest.raises(UsageError, match="patience=3 goes by the best checkpoint's metric: name it by best"):
        set_patience(cfg, 3)


def test_patience_of_nothing_is_refused():
    with pytest.raises(UsageError, match="patience=0: it must be at least 1"):
        set_patience(Config({}), 0)


def test_the_best_checkpoint_tells_what_it_is_the_best_by(tmp_path):
    metrics = {"coco/1to9/AP": 0.6, "coco/1to9/AP_8plus": 0.7, "coco/ensemble/AP": 0.5}
    meta = dict(epoch=2, iter=8, best=dict(metric="coco/1to9/AP", score=0.6, metrics=metrics))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {}, "meta": meta}, Run(tmp_path).best)
    validation, name = read_best(Run(tmp_path))
    assert (validation.epoch, validation.iteration, name) == (2, 8, "1:9/AP")
    assert validation.heads == {"1:9": {"AP": 0.6}, "ensemble": {"AP": 0.5}}
    assert validation.bins == {"1:9": {"8+": 0.7}, "ensemble": {}}


def test_a_run_may_have_none(tmp_path):
    assert read_best(Run(tmp_path)) is None
