"""From training on dense images to their AP."""

import json

import pytest

from rgacli.api.ensemble import ensemble
from rgacli.api.evaluate import evaluate
from rgacli.api.gt_bins import gt_bins
from rgacli.api.proposals import proposals
from rgacli.api.train import train
from rgacli.config.files import load_config
from rgacli.evaluation import variants_metric
from rgacli.evaluation.max_dets import MaxDets
from tests.cli.commands import TINY, logged
from tests.support.dense import densify, perfect

pytestmark = pytest.mark.slow

SETTINGS = [*(word for word in TINY if word != "--set"), "model.test_cfg.rcnn.score_thr=0.0"]


@pytest.fixture
def dense(tiny_dataset, tmp_path, monkeypatch):
    """A dataset of which an image of each split has 120 objects, which detectors find exactly, beside runs/."""
    monkeypatch.chdir(tmp_path)
    folder = densify(tiny_dataset, tmp_path / "data", 120)
    found = perfect(json.loads((folder / "annotations/val.json").read_text()))

    def exactly(image_id, instances, category_of):
        return [detection for detection in found if detection["image_id"] == image_id]

    monkeypatch.setattr(variants_metric, "coco_results", exactly)
    return folder


def test_a_training_makes_room_and_all_that_measures_counts_alike(dense):
    run = train("quickstart", data=dense, epochs=1, name="dense", settings=SETTINGS).run
    cfg = load_config(str(run.config))
    limits = [cfg.model.test_cfg.rcnn, cfg.model.test_cfg.rpn, cfg.model.train_cfg.rpn_proposal]
    assert [part.max_per_img for part in limits] == [200, 400, 400]

    (validation,) = logged(run.path)[1]
    result = evaluate("dense", head="all", split="val")
    assert result.max_dets == MaxDets(200, "COCO", 100, 120, "densest")
    assert validation["coco/ensemble/AP"] == result.heads["ensemble"]["AP"] == pytest.approx(1)
    bins = gt_bins("dense", split="val", bins="1-100,101+", bootstrap=0)
    assert bins.finding.max_dets == result.max_dets
    assert [row.AP for row in bins.rows] == pytest.approx([1] * 9)
    assert proposals("dense", split="val", bins="101+").rows[-1].images == 1

    official = MaxDets(100, "COCO", 100, 120, "official")
    for measured in (
        evaluate("dense", split="val", max_dets=100).heads["ensemble"]["AP"],
        next(row.AP for row in gt_bins("dense", split="val", bins="101+", bootstrap=0, max_dets=100).rows),
    ):
        assert 0.8 < measured < 0.99
    combined = ensemble("dense", split="val", method="joint-nms", bootstrap=2, timed=0, max_dets=100)
    assert combined.max_dets == official
    assert {row.AP < 0.99 for row in (*combined.members, *combined.methods)} == {True}


@pytest.mark.parametrize(("max_dets", "low", "high"), [(100, 0.8, 0.99), (300, 1, 1)])
def test_a_number_that_is_asked_for_is_what_training_and_validation_go_by(dense, max_dets, low, high):
    name = f"asked-{max_dets}"
    run = train("quickstart", data=dense, epochs=1, name=name, settings=SETTINGS, max_dets=max_dets).run
    assert load_config(str(run.config)).model.test_cfg.rcnn.max_per_img == max_dets
    assert low - 1e-6 <= logged(run.path)[1][0]["coco/ensemble/AP"] <= high + 1e-6
