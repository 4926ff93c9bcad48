"""Other detectors than Faster R-CNN through the commands: cascades, masks, and what trains without the method."""

import json
import shutil

import pytest

from tests.cli.commands import call, error_line, invoke, logged
from tests.support import families


@pytest.fixture(scope="module")
def masked_dataset(dataset, tmp_path_factory):
    """The shared dataset with a mask per object: its box."""
    root = shutil.copytree(dataset, tmp_path_factory.mktemp("masked") / "drawn")
    for path in (root / "annotations").glob("*.json"):
        content = json.loads(path.read_text())
        for entry in content["annotations"]:
            x, y, width, height = entry["bbox"]
            entry["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
        path.write_text(json.dumps(content))
    return root


def train(folder, name, dataset, *options):
    """Trains a shrunken config of mmdet's for one epoch, as the run "other"."""
    file = folder / "mine.py"
    families.trainable(name).dump(file)
    return invoke("train", file, "--data", dataset, "--name", "other", "--lr", 0.001, *options)


def evaluated(*arguments):
    """What eval prints as JSON."""
    result = invoke("eval", "other", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
def test_a_cascade_with_masks_trains_and_is_measured(folder, masked_dataset):
    result = train(folder, "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco", masked_dataset, "--ratios", "1:1,1:9")
    assert result.exit_code == 0, result.stderr
    assert "2 R-CNN heads at 1:1, 1:9 (soft sampling), λ0 7 (linear)" in result.stderr
    steps, _ = logged(folder / "runs/other")
    assert {"s0.1to1.loss_cls", "s2.1to9.positives", "s1.loss_mask", "lambda"} <= set(steps[0])
    assert steps[0]["lambda"] == 7
    assert list(evaluated("--head", "all")["heads"]) == ["1:1", "1:9", "ensemble"]
    bins = invoke("analyze", "gt-bins", "other", "--json", "--bins", "1-3,4+")
    assert bins.exit_code == 0, bins.stderr
    assert {row["name"] for row in json.loads(bins.stdout)["rows"]} == {"1:1", "1:9", "ensemble"}
    combined = invoke("ensemble", "other", "--json", "--bootstrap", 2, "--timed", 1)
    assert combined.exit_code == 0, combined.stderr
    methods = json.loads(combined.stdout)["methods"]
    assert [row["name"] for row in methods if row["added_seconds"] is None] == ["oracle"]
    boxes = json.loads((folder / "runs/other/detections/test/joint-nms.json").read_text())
    assert all(set(detection) == {"image_id", "category_id", "bbox", "score"} for detection in boxes)


@pytest.mark.slow
def test_what_mmdet_does_that_is_deprecated_is_not_told_to_the_user(folder, masked_dataset):
    families.trainable("sabl/sabl-faster-rcnn_r50_fpn_1x_coco").dump("mine.py")
    done = call("train", "mine.py", "--data", masked_dataset, "--lr", 0.001, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_masks_are_refused_of_a_dataset_without_any(folder, dataset):
    result = train(folder, "mask_rcnn/mask-rcnn_r50_fpn_1x_coco", dataset)
    assert result.exit_code == 2
    assert "have no mask" in error_line(result.stderr)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("name", "options", "method"),
    [
        ("retinanet/retinanet_r50_fpn_1x_coco", ("--no-rga", "--no-prm"), "RetinaNet as the config has it"),
        ("dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco", (), "DynamicRoIHead as the config has it, no PRM, λ0 7"),
        (
            "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
            ("--no-prm", "--lambda0", 3),
            "StandardRoIHead as the config has it",
        ),
    ],
)
def test_a_detector_with_its_own_heads_trains_and_is_measured(folder, dataset, name, options, method):
    result = train(folder, name, dataset, *options)
    assert result.exit_code == 0, result.stderr
    assert method in result.stderr
    steps, validations = logged(folder / "runs/other")
    assert ("lambda" in steps[0]) == ("--no-rga" not in options)
    assert "coco/detector/AP" in validations[0]
    assert list(evaluated()["heads"]) == ["detector"]
    bins = invoke("analyze", "gt-bins", "other", "--json")
    assert bins.exit_code == 0, bins.stderr
    assert {row["name"] for row in json.loads(bins.stdout)["rows"]} == {"detector"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "train it as it is by --no-rga --no-prm"),
        (("--ratios", "1:1,1:9"), "RetinaNet has no RoI head"),
        (("--no-rga", "--lambda0", 7), "--no-rga contradicts --lambda0"),
        (("--no-prm", "--ratios", "1:1"), "--no-prm contradicts --ratios"),
    ],
)
def test_what_a_detector_cannot_have_is_refused_in_one_line(folder, dataset, options, complaint):
    result = invoke("train", "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", "--data", dataset, *options)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert not (folder / "runs").exists()
