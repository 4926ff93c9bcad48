import csv
import json
import math
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from rgacli.analysis.forward import model_and_batches
from rgacli.analysis.proposals import collecting as analysis
from rgacli.api.proposals import proposals
from rgacli.api.subjects import detectors_on_split
from rgacli.errors import UsageError


@pytest.fixture
def run(tmp_path, finished_run, monkeypatch):
    """A copy of the run, which is runs/base in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished_run, tmp_path / "runs/base"))


@pytest.fixture
def compared(monkeypatch):
    """Proposals and objects of each image, as they are compared; every overlap above 0.1 is positive meanwhile."""
    found, overlaps = [], analysis.bbox_overlaps

    def recording(proposals, truth):
        found.append((proposals.tolist(), truth.tolist()))
        return overlaps(proposals, truth)

    monkeypatch.setattr(analysis, "bbox_overlaps", recording)
    monkeypatch.setattr(analysis, "POSITIVE_IOU", 0.1)
    return found


def records_of(result):
    """What the CSV beside the figure holds."""
    with result.figure.with_suffix(".csv").open(newline="") as file:
        return list(csv.DictReader(file))


def box_iou(a, b):
    """IoU of two boxes (x1, y1, x2, y2), in plain Python."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_positive_proposals_are_those_that_a_brute_force_count_finds(run, tiny_dataset, compared):
    result = proposals("base")
    assert result.about == {
        "runs": ["base"],
        "checkpoints": ["epoch 3"],
        "split": "test",
        "bins": "1-3,4-7,8+",
    }
    assert result.figure == Path("runs/base/figures/test/proposals.png")
    records = {int(record["image_id"]): record for record in records_of(result)}
    truth = defaultdict(list)
    for entry in json.loads((tiny_dataset / "annotations/test.json").read_text())["annotations"]:
        x, y, width, height = entry["bbox"]
        truth[entry["image_id"]].append([x, y, x + width, y + height])
    assert sorted(records) == sorted(truth)
    for (found, objects), image in zip(compared, truth, strict=True):
        np.testing.assert_allclose(objects, truth[image], rtol=1e-6)
        positives = sum(any(box_iou(proposal, box) >= 0.1 for box in objects) for proposal in found)
        assert positives > 0
        expected = {"gt_count": len(objects), "proposals": len(found), "positives": positives}
        assert {key: int(records[image][key]) for key in expected} == expected


def test_proposals_are_summed_up_per_bin(run, compared):
    seen = []
    result = proposals("base", bins="1-4,5+", out="mine", progress=lambda *report: seen.append(report))
    assert result.figure == Path("mine/proposals.png")
    records = records_of(result)
    _, few, many = result.rows
    positives = [int(record["positives"]) for record in records if record["bin"] == "1-4"]
    assert (few.bin, few.images, few.mean, few.median) == (
        "1-4",
        2,
        pytest.approx(np.mean(positives)),
        pytest.approx(np.median(positives)),
    )
    assert (many.bin, many.images) == ("5+", 0)
    assert seen == [("proposals", 1, 2), ("proposals", 2, 2)]


def test_whole_number_boxes_and_objects_of_unlisted_images_are_no_obstacle(run, tiny_dataset, undrawn):
    shutil.copytree(tiny_dataset, "other")
    path = Path("other/annotations/test.json")
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        entry["bbox"] = [math.floor(value) for value in entry["bbox"]]
    content["annotations"].append({**content["annotations"][0], "id": 10**6, "image_id": 10**6})
    path.write_text(json.dumps(content))
    result = proposals("base", data=Path("other"))
    assert sum(row.images for row in result.rows[1:]) == 2
    assert result.figure == Path("runs/base/figures/other-test/proposals.png")


def test_what_cannot_be_drawn_is_told_of_before_the_work(run, monkeypatch):
    monkeypatch.setattr(analysis, "count_positive_proposals", None)
    Path("file").touch()
    with pytest.raises(FileExistsError, match="it is no folder"):
        proposals("base", out="file/figures")
    with pytest.raises(UsageError, match="is no bin"):
        proposals("base", bins="few")
    config = run / "config.py"
    config.write_text(config.read_text() + "\nmodel['rpn_head']['type'] = 'EmbeddingRPNHead'")
    with pytest.raises(UsageError, match="has no RPN"):
        proposals("base")
    assert not (run / "figures").exists()


@pytest.fixture
def looked_at(monkeypatch, undrawn):
    """Run and checkpoint of each pass, none of which is made; spares the figure."""
    passes = []

    def count(detector, checkpoint, progress):
        passes.append((detector.name, checkpoint.stem))
        return [{"image_id": 1, "gt_count": 2, "proposals": 40, "positives": len(passes)}]

    monkeypatch.setattr("rgacli.api.proposals.collect", count)
    return passes


def test_checkpoints_of_several_runs_are_followed(run, looked_at):
    shutil.copytree(run, "runs/other")
    result = proposals(["base", "other"], which="1,last")
    assert result.figure == Path("figures/test/proposals.png")
    assert looked_at == [("base", "epoch_1"), ("base", "epoch_3"), ("other", "epoch_1"), ("other", "epoch_3")]
    assert result.about["checkpoints"] == ["epoch 1", "epoch 3"]
    assert [row.mean for row in result.rows if row.bin == "all"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("which", "expected"),
    [("last", ["epoch_3"]), ("2", ["epoch_2"]), ("epoch_1", ["epoch_1"]), ("all", ["epoch_1", "epoch_2", "epoch_3"])],
)
def test_checkpoints_are_named_alone_or_all_at_once(run, looked_at, which, expected):
    proposals("base", which=which)
    assert [checkpoint for _, checkpoint in looked_at] == expected


def test_other_weights_are_what_the_detector_then_has(run):
    (detector,) = detectors_on_split("base").values()
    early, _ = model_and_batches(detector, run / "checkpoints/epoch_1.pth")
    weights = torch.load(run / "checkpoints/epoch_1.pth", weights_only=False)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in early.state_dict().items())


def test_several_checkpoints_are_of_runs(run):
    with pytest.raises(UsageError, match="which=all is one of a run's checkpoints: leave it out with checkpoint"):
        proposals(checkpoint=run / "checkpoints/epoch_3.pth", which="all")
    with pytest.raises(UsageError, match="which=7: run runs/base has no such checkpoint"):
        proposals("base", which="1,7")
