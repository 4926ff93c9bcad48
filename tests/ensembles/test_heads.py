import pytest

from rgacli.ensembles import heads
from rgacli.ensembles.heads import HeadsEnsemble
from rgacli.errors import UsageError
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.method import ENSEMBLING_METHODS
from rgacli.trained import find_trained
from tests.support.dense import densify


@pytest.fixture
def on_split(finished_run):
    """Split -> the detector on it."""
    return lambda split: SplitDetections.of(find_trained(finished_run), split)


def with_roi_head(detector, **settings):
    detector.cfg.model.roi_head.update(settings)
    return detector


def test_a_single_head_is_no_ensemble(on_split):
    with pytest.raises(UsageError, match=r"has a single head \(1:3\): nothing to ensemble"):
        HeadsEnsemble(with_roi_head(on_split("test"), ratios=["1:3"]), on_split)


def test_heads_have_all_methods(on_split):
    assert HeadsEnsemble(on_split("test"), on_split).choose() == list(ENSEMBLING_METHODS)


def test_on_dense_images_a_combination_keeps_as_many_as_the_heads(finished_run, tiny_dataset, tmp_path):
    dense = densify(tiny_dataset, tmp_path / "dense", 101)

    def limit(max_dets):
        detector = SplitDetections.of(find_trained(finished_run), "test", dense, max_dets=max_dets)
        return HeadsEnsemble(detector, lambda split: detector).limit

    assert [limit(100), limit(None), limit(300)] == [100, 200, 300]


def test_heads_of_one_ratio_have_no_dispatch(on_split):
    alike = HeadsEnsemble(with_roi_head(on_split("test"), ratios=["1:3", "2:6"]), on_split)
    assert alike.obstacle("dispatch") == "all heads have one ratio, so none suits any image better"


def test_what_the_heads_themselves_do_not_allow_is_an_obstacle(on_split):
    detector = on_split("test")
    detector.cfg.model.roi_head.bbox_head.type = "SABLHead"
    assert "SABL" in HeadsEnsemble(detector, on_split).obstacle("average-boxes")


def test_dispatch_is_not_calibrated_on_a_large_training_split_unasked(on_split, monkeypatch):
    monkeypatch.setattr(heads, "_MANY_IMAGES", 3)
    on_val = HeadsEnsemble(on_split("val"), on_split)
    with pytest.raises(UsageError, match="all 4 images of train; if that is wanted, say calibrate=train"):
        on_val.choose(["dispatch"])
    assert HeadsEnsemble(on_split("test"), on_split).obstacle("dispatch") is None  # val has 2
    assert HeadsEnsemble(on_split("val"), on_split, "train").obstacle("dispatch") is None


def test_dispatch_is_not_calibrated_on_what_it_is_evaluated_on(on_split):
    ensemble = HeadsEnsemble(on_split("test"), lambda split: on_split("test"))
    with pytest.raises(UsageError, match=r"annotations that it is evaluated on \(.*test\.json\); name another split"):
        ensemble.choose(["dispatch"])
