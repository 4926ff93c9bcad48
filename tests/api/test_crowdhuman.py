"""From CrowdHuman's official files to its metrics per head."""

import json
import shutil
from pathlib import Path

import pytest

from rgacli.api.data import prepare_crowdhuman
from rgacli.api.evaluate import evaluate
from rgacli.api.gt_bins import gt_bins
from rgacli.api.proposals import proposals
from rgacli.api.train import train
from rgacli.errors import DataError
from rgacli.evaluation.crowdhuman_metrics import METRICS
from tests.cli.commands import TINY, invoke, logged
from tests.conftest import ON_THE_CPU
from tests.data.crowdhuman_files import write_crowdhuman, zip_images

CONFIG = "faster-rcnn_r50_fpn_rga-prm_8xb2-30e_crowdhuman"
HEADS = ["1:1", "1:9", "ensemble"]
CROWD_BINS = ["1-10", "11-20", "21-40", "41+"]
SMALL = [
    *(word for word in TINY if word != "--set"),
    "model.backbone.depth=18",
    "model.backbone.init_cfg=None",
    "model.backbone.frozen_stages=-1",
    "model.backbone.norm_eval=False",
    "model.rpn_head.anchor_generator.scales=[4]",
    "model.test_cfg.rcnn.score_thr=0.0",
    "train_dataloader.dataset.pipeline.2.scale=(96, 72)",
    "val_dataloader.dataset.pipeline.1.scale=(96, 72)",
    "test_dataloader.dataset.pipeline.1.scale=(96, 72)",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a prepared download, of 4 images to train on and 3 to validate on, and a run of two steps on it.

    Tests write what is made of the run, and no more.
    """
    root = tmp_path_factory.mktemp("crowd")
    write_crowdhuman(root / "CrowdHuman", {"train": 4, "val": 3})
    zip_images(root / "CrowdHuman", "CrowdHuman_val.zip", "*val.jpg")
    assert prepare_crowdhuman(root / "CrowdHuman").ok
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ON_THE_CPU)
        patch.chdir(root)
        told = []
        patch.setattr("rgacli.engine.progress_hook.tell", told.append)
        train(CONFIG, data=Path("CrowdHuman"), epochs=1, name="crowd", settings=SMALL)
    (line,) = told
    assert line.startswith("epoch 1/1  validation mMR  1:1 ")
    return root


@pytest.fixture
def run(home, monkeypatch):
    """The run, in the working folder."""
    monkeypatch.chdir(home)
    return home / "runs/crowd"


def test_training_validates_by_crowdhumans_metrics(run):
    (validation,) = logged(run)[1]
    for head in ("1to1", "1to9", "ensemble"):
        assert {f"crowdhuman/{head}/{metric}" for metric in METRICS} <= set(validation)
        assert 0 <= validation[f"crowdhuman/{head}/mMR"] <= 1


def test_each_head_is_measured_by_them(run, home):
    result = evaluate("crowd", head="all")
    assert result.annotations == str(home / "CrowdHuman/annotations/val.json")
    assert list(result.heads) == HEADS
    assert all(tuple(metrics) == METRICS for metrics in result.heads.values())


def test_boxes_reach_beyond_the_image_where_bodies_do(run):
    gt_bins("crowd", bootstrap=0)
    boxes = [detection["bbox"] for detection in json.loads((run / "detections/val/ensemble.json").read_text())]
    assert max(y + h for _, y, _, h in boxes) > 73  # of 72
    assert min(x for x, *_ in boxes) < -1


def test_gt_bins_are_those_fit_for_crowds(run, home):
    result = gt_bins("crowd", bootstrap=0)
    assert result.about["bins"] == ",".join(CROWD_BINS)
    assert [(row.name, row.bin) for row in result.rows] == [(h, label) for h in HEADS for label in ["all", *CROWD_BINS]]
    content = json.loads((home / "CrowdHuman/annotations/val.json").read_text())
    persons = sum(not entry["iscrowd"] for entry in content["annotations"])
    assert {row.objects for row in result.rows if row.bin == "all"} == {persons}
    assert gt_bins("crowd", bins="1+", bootstrap=0).about["bins"] == "1+"


def test_proposals_are_binned_for_crowds_too(run):
    assert [row.bin for row in proposals("crowd").rows] == ["all", *CROWD_BINS]


def without_official_annotations(odgt):
    odgt.unlink()


def with_official_annotations_of_other_images(odgt):
    odgt.write_text(odgt.read_text().partition("\n")[2])


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (without_official_annotations, "odgt: no such file, and CrowdHuman's metrics are computed from it"),
        (with_official_annotations_of_other_images, r"odgt: it lacks 1 of the 3 images of"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_work(run, home, tmp_path, spoil, complaint):
    copy = shutil.copytree(home / "CrowdHuman", tmp_path / "spoilt")
    spoil(copy / "annotation_val.odgt")
    with pytest.raises(DataError, match=rf"annotation_val\.{complaint}"):
        evaluate("crowd", data=copy)
    assert not list((run / "detections").glob("spoilt-*"))


@pytest.mark.slow  # every way of combining, on a dataset of its own
def test_the_ensembles_gain_is_that_of_cocos_ap(run):
    result = invoke("ensemble", "crowd", "--json", "--bootstrap", 2)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert [row["head"] for row in shown["heads"]] == HEADS[:2]
    assert {label for row in shown["methods"] for label in row["bins"]} == set(CROWD_BINS)
