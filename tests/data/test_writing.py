import json

import pytest
import yaml

from rgacli.data.layout import recognise
from rgacli.data.splits import Split
from rgacli.data.writing import SplitWritten, one_polygon_each, write_coco, write_yolo
from rgacli.errors import DataError
from tests.data.coco_files import content, write_split

pytestmark = pytest.mark.usefixtures("cache")

SQUARE = [[4, 4, 14, 4, 14, 14, 4, 14]]


def found(root, value=None):
    """A dataset of one split, as it is given to be written."""
    value = content(images=2) if value is None else value
    path = write_split(root, value=value)
    return {"train": (Split("train", path, root / "images"), value)}


def test_coco_is_written_with_all_that_it_has(tmp_path):
    value = {**content(images=2), "licenses": [{"id": 7}]}
    value["annotations"][0]["segmentation"] = SQUARE
    value["annotations"][1]["iscrowd"] = 1
    written = write_coco(tmp_path / "new", found(tmp_path / "old", value), "copy")
    assert written == {"train": SplitWritten(images=2, objects=1, crowds_left_out=0)}
    assert json.loads((tmp_path / "new/annotations/train.json").read_text()) == value
    assert (tmp_path / "new/images/train/1.jpg").read_bytes() == (tmp_path / "old/images/1.jpg").read_bytes()
    assert not (tmp_path / "new/images/train/1.jpg").is_symlink()


def test_images_can_be_linked_to(tmp_path):
    write_coco(tmp_path / "new", found(tmp_path / "old"), "link")
    assert (tmp_path / "new/images/train/2.jpg").readlink() == tmp_path / "old/images/2.jpg"


def test_yolo_is_written_as_ultralytics_reads_it(tmp_path):
    value = content(images=2, category_names=("cat", "dog", "cow"))
    value["categories"] = value["categories"][::-1]  # classes are numbered in the file's order
    value["annotations"][1] = {**value["annotations"][1], "iscrowd": 1}
    written = write_yolo(tmp_path / "new", found(tmp_path / "old", value), "copy", polygons=False)
    assert written == {"train": SplitWritten(images=2, objects=1, crowds_left_out=1)}
    config = yaml.safe_load((tmp_path / "new/data.yaml").read_text())
    assert config == {"train": "images/train", "nc": 3, "names": {0: "cow", 1: "dog", 2: "cat"}}
    assert (tmp_path / "new/labels/train/1.txt").read_text() == "2 0.225 0.3 0.25 0.3333333333333333\n"
    assert (tmp_path / "new/labels/train/2.txt").read_text() == ""
    assert (tmp_path / "new/images/train/2.jpg").is_file()


def test_polygons_come_back_as_masks(tmp_path):
    value = content(images=2)
    for each in value["annotations"]:
        each.update(segmentation=SQUARE, bbox=[4, 4, 10, 10], area=100.0)
    write_yolo(tmp_path / "new", found(tmp_path / "old", value), "link", polygons=True)
    (split,) = recognise(tmp_path / "new").splits.values()
    assert json.loads(split.annotations.read_text())["annotations"] == value["annotations"]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([SQUARE, SQUARE], True),
        ([SQUARE, SQUARE * 2], False),
        ([SQUARE, {"counts": "abc", "size": [4, 4]}], False),
        ([SQUARE, None], False),
        ([SQUARE, [[1, 2, 3, 4]]], False),
        ([], False),
    ],
)
def test_polygons_are_written_only_where_they_tell_all(masks, expected):
    things = [{"segmentation": mask} for mask in masks] + [{"segmentation": None, "iscrowd": 1}]
    assert one_polygon_each([{"annotations": things}]) is expected


def test_images_in_subfolders_stay_there(tmp_path):
    value = content()
    value["images"][0]["file_name"] = "images/day/1.jpg"  # Label Studio's names begin like that
    (tmp_path / "old/images/images/day").mkdir(parents=True)
    write_yolo(tmp_path / "new", found(tmp_path / "old", value), "copy", polygons=False)
    (split,) = recognise(tmp_path / "new").splits.values()
    written = json.loads(split.annotations.read_text())
    assert [image["file_name"] for image in written["images"]] == ["images/day/1.jpg"]
    assert len(written["annotations"]) == 1


@pytest.mark.parametrize("name", ["../1.jpg", "a/../../1.jpg", "/1.jpg"])
def test_no_image_is_written_outside_the_folder(tmp_path, name):
    given = found(tmp_path / "old")
    given["train"][1]["images"][0]["file_name"] = name
    for write in (write_coco, lambda *arguments: write_yolo(*arguments, polygons=False)):
        with pytest.raises(DataError, match="is not in the folder of its images"):
            write(tmp_path / "new", given, "copy")


def test_what_cannot_be_written_is_named(tmp_path):
    given = found(tmp_path / "old")
    (split, value), new = given["train"], tmp_path / "new"
    value["images"][1]["file_name"] = "1.png"
    with pytest.raises(DataError, match=r"image 1\.png would share its label file"):
        write_yolo(new, given, "copy", polygons=False)
    with pytest.raises(DataError, match=r"1 of 2 images are missing \(first: .*images/1\.png\)"):
        write_coco(new, given, "copy")
    value["annotations"][0]["category_id"] = 9
    with pytest.raises(DataError, match="annotation 1: no category 9"):
        write_yolo(new, {"train": (split, value)}, "copy", polygons=False)
