"""From CrowdHuman's official files to its metrics per head, through the commands."""

import json
import shutil

import pytest

from rgacli.evaluation.crowdhuman_metrics import METRICS
from tests.cli.commands import TINY, call, error_line, invoke, logged, settings
from tests.data.crowdhuman_files import write_crowdhuman, zip_images

CONFIG = "faster-rcnn_r50_fpn_rga-prm_8xb2-30e_crowdhuman"
HEADS = ["1:1", "1:9", "ensemble"]
CROWD_BINS = ["all", "1-10", "11-20", "21-40", "41+"]
SMALL_CROWDHUMAN = TINY + settings(
    {
        "model.backbone.depth": 18,
        "model.backbone.init_cfg": None,
        "model.backbone.frozen_stages": -1,
        "model.backbone.norm_eval": False,
        "model.rpn_head.anchor_generator.scales": [4],
        "model.test_cfg.rcnn.score_thr": 0.0,
        "train_dataloader.dataset.pipeline.2.scale": (96, 72),
        "val_dataloader.dataset.pipeline.1.scale": (96, 72),
        "test_dataloader.dataset.pipeline.1.scale": (96, 72),
    }
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared download of 4 images to train on and 3 to validate on. Not to be written to."""
    root = tmp_path_factory.mktemp("crowd") / "CrowdHuman"
    write_crowdhuman(root, {"train": 4, "val": 3})
    zip_images(root, "CrowdHuman_val.zip", "*val.jpg")
    result = call("data", "crowdhuman", root, "--json", cwd=root)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["ok"]
    return root


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, prepared):
    """A folder with the run of two steps on it. Not to be written to."""
    root = tmp_path_factory.mktemp("run")
    output = call("train", CONFIG, "--data", prepared, "--epochs", 1, "--name", "crowd", *SMALL_CROWDHUMAN, cwd=root)
    assert output.returncode == 0, output.stderr
    return root, output


@pytest.fixture
def run(crowd, folder):
    """A copy of the run, in the working folder."""
    shutil.copytree(crowd[0], folder, dirs_exist_ok=True)
    return folder / "runs/crowd"


def test_training_validates_by_crowdhumans_metrics(crowd):
    root, output = crowd
    (validation,) = logged(root / "runs/crowd")[1]
    for head in ("1to1", "1to9", "ensemble"):
        assert {f"crowdhuman/{head}/{metric}" for metric in METRICS} <= set(validation)
        assert 0 <= validation[f"crowdhuman/{head}/mMR"] <= 1
    assert "epoch 1/1  validation mMR  1:1 " in output.stderr


def test_eval_shows_them_for_each_head(run, prepared):
    result = invoke("eval", "--head", "all", "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["annotations"] == str(prepared / "annotations/val.json")
    assert list(shown["heads"]) == HEADS
    assert all(tuple(metrics) == METRICS for metrics in shown["heads"].values())
    table = invoke("eval").stdout
    assert [word in table for word in METRICS] == [True] * 3
    assert "APs" not in table


def test_boxes_reach_beyond_the_image_where_bodies_do(run):
    invoke("eval")
    boxes = [detection["bbox"] for detection in json.loads((run / "detections/test/ensemble.json").read_text())]
    assert max(y + h for _, y, _, h in boxes) > 73  # of 72
    assert min(x for x, *_ in boxes) < -1


def test_gt_bins_are_those_fit_for_crowds(run, prepared):
    result = invoke("analyze", "gt-bins", "--json", "--bootstrap", 0)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["bins"] == "1-10,11-20,21-40,41+"
    assert [(row["name"], row["bin"]) for row in shown["rows"]] == [(h, label) for h in HEADS for label in CROWD_BINS]
    content = json.loads((prepared / "annotations/val.json").read_text())
    persons = sum(not entry["iscrowd"] for entry in content["annotations"])
    assert {row["objects"] for row in shown["rows"] if row["bin"] == "all"} == {persons}
    own = json.loads(invoke("analyze", "gt-bins", "--bins", "1+", "--json", "--bootstrap", 0).stdout)
    assert own["bins"] == "1+"


def test_proposals_are_binned_for_crowds_too(run):
    rows = json.loads(invoke("analyze", "proposals", "--json").stdout)["rows"]
    assert [row["bin"] for row in rows] == CROWD_BINS[1:]


def test_the_ensembles_gain_is_that_of_cocos_ap(run):
    result = invoke("ensemble", "--json", "--bootstrap", 2)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert [row["head"] for row in shown["heads"]] == HEADS[:2]
    assert {label for row in shown["methods"] for label in row["bins"]} == set(CROWD_BINS[1:])


def test_without_the_official_annotations_eval_says_what_is_missing(run, prepared):
    shutil.copytree(prepared, "copy")
    (run.parents[1] / "copy/annotation_val.odgt").unlink()
    result = invoke("eval", "--data", "copy")
    assert result.exit_code == 2
    line = error_line(result.stderr)
    assert "/copy/annotation_val.odgt: no such file, and CrowdHuman's metrics are computed from it" in line
    assert not (run / "detections").exists()


def test_official_annotations_of_other_images_are_refused_before_the_work(run, prepared):
    shutil.copytree(prepared, "copy")
    odgt = run.parents[1] / "copy/annotation_val.odgt"
    odgt.write_text(odgt.read_text().partition("\n")[2])
    result = invoke("eval", "--data", "copy")
    assert result.exit_code == 2
    assert "annotation_val.odgt: it lacks 1 of the 3 images of" in error_line(result.stderr)
    assert not (run / "detections").exists()


def test_problems_stand_one_in_a_line_and_leave_nothing_behind(folder):
    write_crowdhuman(folder / "CrowdHuman", {"val": 2})
    (missing,) = (folder / "CrowdHuman/Images").glob("00,*")
    missing.unlink()
    result = invoke("data", "crowdhuman", "CrowdHuman")
    assert result.exit_code == 2
    assert "error: val: missing image (1)\n  00,val.jpg: not in " in result.stdout
    assert "errors: 1; nothing was written" in result.stderr
    assert not (folder / "CrowdHuman/annotations").exists()


def test_the_table_counts_persons_and_what_is_ignored(folder):
    write_crowdhuman(folder / "CrowdHuman", {"val": 2})
    result = invoke("data", "crowdhuman", "CrowdHuman", "--split", "val")
    assert result.exit_code == 0, result.stderr
    content = json.loads((folder / "CrowdHuman/annotations/val.json").read_text())
    (row,) = (line.split("│")[1:-1] for line in result.stdout.splitlines() if line.startswith("│"))
    persons = len(content["annotations"]) - 4
    assert [cell.strip() for cell in row] == ["val", "2", str(persons), "4", f"{persons / 2:.3f}"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone"], "gone: no such folder"),
        (["."], "neither annotation_train.odgt nor annotation_val.odgt is there"),
        ([".", "--split", "test"], "--split test: it can be train or val"),
        ([".", "--split", "val"], "annotation_val.odgt: no such annotation file"),
    ],
)
def test_what_cannot_be_prepared_costs_one_line(folder, arguments, words):
    result = invoke("data", "crowdhuman", *arguments)
    assert result.exit_code == 2
    assert words in error_line(result.stderr)
    assert list(folder.iterdir()) == []
