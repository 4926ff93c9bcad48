import json
from dataclasses import asdict
from pathlib import Path

import pytest

from rgacli.api.dataset import analyze_dataset
from rgacli.errors import DataError, UsageError
from tests.data.coco_files import content, write_split
from tests.data.layouts import LAYOUTS, write_layout

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(autouse=True)
def _empty(monkeypatch, tmp_path):
    """The working folder is empty."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_numbers(layout, tmp_path, tiny_dataset, cache):
    contents = {
        split: json.loads((tiny_dataset / f"annotations/{split}.json").read_text()) for split in ("train", "val")
    }
    for split, each in contents.items():
        for image in each["images"]:
            image["file_name"] = f"{split}/{image['file_name']}"
    expected = analyze_dataset(tiny_dataset, out=tmp_path)
    images = tiny_dataset / "images"
    flat = tmp_path / "flat"
    flat.mkdir()
    for each in contents.values():  # layouts whose images lie in one folder tell them apart by name
        for image in each["images"]:
            source, name = images / image["file_name"], image["file_name"].replace("/", "_")
            (flat / name).symlink_to(source)
            image["file_name"] = name
    found = analyze_dataset(write_layout(layout, tmp_path / "pets", contents, flat), out=tmp_path)
    assert found.rows == expected.rows
    for key in ("images", "objects", "objects_per_image"):
        assert found.about[key] == expected.about[key]
    used = {each["name"]: each["objects"] for each in expected.about["objects_by_class"] if each["objects"]}
    assert {each["name"]: each["objects"] for each in found.about["objects_by_class"] if each["objects"]} == used


def test_a_coco_file_needs_no_images():
    Path("mine.json").write_text(json.dumps(content(images=3)))
    found = analyze_dataset("mine.json")
    assert (found.about["dataset"], found.about["split"], found.about["images"]) == ("mine.json", "all", 3)
    assert found.figure == Path("figures/mine/all/dataset.png")
    with pytest.raises(UsageError, match="one file: split=val"):
        analyze_dataset("mine.json", split="val")


def test_the_split_is_train_or_the_first_there_is(tmp_path):
    write_split(tmp_path / "d", "annotations/val.json")
    found = analyze_dataset(tmp_path / "d")
    assert (found.about["split"], found.figure) == ("val", Path("figures/d/val/dataset.png"))
    write_split(tmp_path / "d")
    assert analyze_dataset(tmp_path / "d").about["split"] == "train"
    assert analyze_dataset(tmp_path / "d", split="val").about["split"] == "val"


def test_a_dataset_that_is_not_divided_can_be(tmp_path, cache):
    write_split(tmp_path / "d", "annotations.json", value=content(images=10))
    with pytest.raises(DataError, match=r"give split_by=80:10:10 to .*rgacli\.analyze_dataset"):
        analyze_dataset(tmp_path / "d")
    assert analyze_dataset(tmp_path / "d", split_by="80:10:10").about["images"] == 8


def test_what_is_measured_can_be_given():
    Path("mine.json").write_text(json.dumps(content()))
    found = analyze_dataset("mine.json", ratios="1:1,1:3", rois=64, proposals=200, positives_per_object=5)
    assert found.about["sampling"] == {"rois": 64, "proposals": 200, "positives_per_object": 5}
    assert [asdict(row)["late"] for row in found.rows] == [5, 5]
    default = analyze_dataset("mine.json", rois=512, proposals=1000).about["sampling"]
    assert default["positives_per_object"] == pytest.approx(13.0, abs=0.05)


def test_heads_draw_as_those_of_the_config_do_that_is_to_be_trained():
    def drawn(**given):
        sampling = analyze_dataset(out="figures", **given).about["sampling"]
        return sampling["rois"], sampling["proposals"]

    Path("mine.json").write_text(json.dumps(content()))
    assert drawn(folder="mine.json") == (128, 500)  # what `train` takes for a dataset
    assert drawn(folder="mine.json", config="faster-rcnn_r50_fpn_rga-prm") == (512, 1000)
    assert drawn(folder="mine.json", config="mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py", rois=99) == (
        99,
        2000,
    )
    with pytest.raises(UsageError, match=r"no model\.train_cfg\.rcnn\.sampler\.num"):
        drawn(folder="mine.json", config="mmdet::retinanet/retinanet_r50_fpn_1x_coco.py")
    with pytest.raises(UsageError, match="config=quickstart tells rois and proposals"):
        drawn(folder="mine.json", config="quickstart", rois=64, proposals=200)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (dict(rois=0), "rois=0"),
        (dict(proposals=0), "proposals=0"),
        (dict(positives_per_object=0.2), "positives_per_object=0.2"),
        (dict(ratios="1:9", rois=5), "ratios: of 5 RoIs, a head at 1:9 would sample no positive"),
        (dict(ratios="nine"), "'nine' is not of the form"),
        (dict(style="neon"), "style=neon"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(options, complaint):
    with pytest.raises(UsageError, match=complaint):
        analyze_dataset("nowhere", **options)


def test_a_dataset_without_objects_is_refused():
    Path("mine.json").write_text(json.dumps({**content(), "annotations": []}))
    with pytest.raises(DataError, match="no objects"):
        analyze_dataset("mine.json")
    assert not Path("figures").exists()
