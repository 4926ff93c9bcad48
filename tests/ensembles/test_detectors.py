import json
import shutil

import pytest

from rgacli.config.dataset import dataset_config
from rgacli.ensembles.detectors import DetectorsEnsemble
from rgacli.errors import RunFailed, UsageError
from rgacli.evaluation.split_detections import SplitDetections
from rgacli.trained import find_trained


@pytest.fixture
def detectors(finished_run, tmp_path, monkeypatch):
    """Name -> a detector of that name on the test split, all of the same weights."""
    monkeypatch.chdir(tmp_path)

    def detector(name):
        return SplitDetections.of(find_trained(shutil.copytree(finished_run, tmp_path / name)), "test")

    return detector


def test_all_but_dispatch_can_be_had_of_detectors(detectors):
    ensemble = DetectorsEnsemble([detectors("a"), detectors("b")])
    assert ensemble.name == "a + b"
    assert ensemble.choose() == ["ensemble", "average-probs", "average-boxes", "joint-nms", "wbf", "oracle"]
    assert ensemble.obstacle("dispatch") == "it weighs the heads of one run, by their ratios"


def test_a_detector_with_parallel_heads_counts_by_its_ensemble(detectors, monkeypatch):
    both = DetectorsEnsemble([detectors("a"), detectors("b")])
    variants = {"1to1": ["of a head"], "ensemble": ["of the ensemble"]}
    monkeypatch.setattr(SplitDetections, "load", lambda detector, progress: variants)
    found = both.detect(["wbf"], [])
    assert (found.members, found.methods) == ({"a": variants["ensemble"], "b": variants["ensemble"]}, {})


def test_detectors_of_one_name_are_told_apart_by_their_paths(detectors, tmp_path):
    ensemble = DetectorsEnsemble([detectors("x/a"), detectors("y/a")])
    assert ensemble.name == f"{tmp_path}/x/a + {tmp_path}/y/a"


def test_a_detector_has_not_the_name_of_a_method(detectors):
    with pytest.raises(UsageError, match="run ensemble has the name of a method"):
        DetectorsEnsemble([detectors("a"), detectors("ensemble")])


def test_detectors_that_cannot_share_proposals_have_no_ensemble(detectors):
    other = detectors("b")
    other.cfg.model.data_preprocessor.std = [1.0, 2.0, 3.0]
    ensemble = DetectorsEnsemble([detectors("a"), other])
    assert ensemble.obstacle("average-probs").startswith("b prepares images in another way than a")
    assert ensemble.obstacle("joint-nms") is None


def test_what_any_heads_do_not_allow_is_an_obstacle(detectors, monkeypatch):
    monkeypatch.setattr("rgacli.ensembles.detectors.joint_detector", lambda trained: None)
    other = detectors("b")
    other.cfg.model.roi_head.bbox_head.type = "SABLHead"
    assert "SABL" in DetectorsEnsemble([detectors("a"), other]).obstacle("average-boxes")


def test_other_classes_are_refused_by_name(detectors, tiny_dataset):
    names = [entry["name"] for entry in json.loads((tiny_dataset / "annotations/test.json").read_text())["categories"]]
    other = detectors("b")
    dataset_config(other.cfg.train_dataloader).metainfo.classes = ("unheard of", *names[1:])
    complaint = f"a and b have other classes: b lacks {names[0]}; a lacks unheard of"
    with pytest.raises(UsageError, match=complaint):
        DetectorsEnsemble([detectors("a"), other])
    swapped = detectors("c")
    dataset_config(swapped.cfg.train_dataloader).metainfo.classes = tuple(names[::-1])
    with pytest.raises(UsageError, match="the same in another order"):
        DetectorsEnsemble([detectors("d"), swapped])


def test_one_that_is_only_tested_has_the_classes_of_its_test(detectors):
    export = detectors("b")
    export.cfg.pop("train_dataloader")
    assert DetectorsEnsemble([detectors("a"), export]).name == "a + b"
    dataset_config(export.cfg.test_dataloader).metainfo.classes = ("unheard of",)
    with pytest.raises(UsageError, match="c and b have other classes"):
        DetectorsEnsemble([detectors("c"), export])


def test_what_was_trained_on_meanwhile_is_told(detectors, monkeypatch):
    both = DetectorsEnsemble([detectors("a"), detectors("b")])
    monkeypatch.setattr("rgacli.ensembles.detectors.detect_jointly", lambda *_, **__: None)
    with pytest.raises(RunFailed, match=r"a checkpoint of a \+ b, or .*test\.json, changed while the detectors ran"):
        both.detect(["average-probs"], [])


def test_other_annotations_are_refused(detectors, tiny_dataset, tmp_path):
    copy = shutil.copytree(tiny_dataset, tmp_path / "copy")
    other = SplitDetections.of(find_trained(detectors("b").home), "test", copy)
    with pytest.raises(UsageError, match=r"the runs' test splits differ \(.*copy.*\): name one dataset by data"):
        DetectorsEnsemble([detectors("a"), other])
