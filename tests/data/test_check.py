import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from rgacli.data.annotations import load_with_objects
from rgacli.data.check import CategoryCount, check_split, check_splits, gt_count_histogram
from rgacli.data.layout import find_splits
from rgacli.errors import DataError
from tests.data.coco_files import MALFORMED_BOXES, SHARED_DATA, content, write_split
from tests.support.dense import crowded


@pytest.fixture
def checked(tmp_path):
    """The report on a good split of two images after `spoil` has changed its annotations."""

    def check(spoil=lambda value: None):
        value = content(images=2)
        path = write_split(tmp_path, value=value)
        spoil(value)
        path.write_text(json.dumps(value))
        return check_split(find_splits(tmp_path)["train"])

    return check


def kinds(report):
    return [(problem.severity, problem.kind) for problem in report.problems]


def set_box(*box, **others):
    return lambda value: value["annotations"][0].update(bbox=list(box), **others)


def test_a_good_split_has_no_problems_and_is_counted(checked):
    report = checked()
    assert report.problems == []
    assert (report.images, report.objects) == (2, 2)
    assert report.gt_counts == {"0": 0, "1-3": 2, "4-7": 0, "8+": 0}
    assert report.categories == [CategoryCount(1, "cat", 2), CategoryCount(2, "dog", 0)]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        *[(set_box(*box), ("error", "malformed entry")) for box in MALFORMED_BOXES],
        (set_box(30, 20, -5, 5), ("error", "box of negative size")),
        (set_box(40, 0, 5, 5), ("error", "box outside the image")),
        (set_box(0, -9, 5, 5), ("error", "box outside the image")),
        (set_box(35, 0, 10, 5), ("warning", "box partly outside the image")),
        (set_box(-2, 0, 10, 5), ("warning", "box partly outside the image")),
        (set_box(5, 5, 0, 5), ("warning", "object without area")),
        (set_box(5, 5, 5, 0.9), ("warning", "object without area")),
        (set_box(5, 5, 5, 5, area=0), ("warning", "object without area")),
        (set_box(5, 5, 5, 5, ignore=1), ("warning", "ignored object")),
        (set_box(5, 5, 5, 5, category_id=9), ("error", "object of an unknown category")),
        (set_box(5, 5, 5, 5, image_id=9), ("warning", "object of an unknown image")),
        (set_box(5, 5, 5, 5, id=2), ("error", "duplicate id in annotations")),
        (lambda value: value["images"][1].update(id=1), ("error", "duplicate id in images")),
        (lambda value: value["images"][1].update(file_name="1.jpg"), ("warning", "duplicate file_name in images")),
        (lambda value: value["images"][1].update(file_name="3.jpg"), ("error", "missing image")),
        (lambda value: value["images"][1].update(file_name="."), ("error", "unreadable image")),
        (lambda value: value["images"][1].update(width=30, height=40), ("error", "image of another size")),
        (lambda value: value["images"][1].pop("height"), ("error", "malformed entry")),
        (lambda value: value["annotations"][1].pop("area"), ("error", "malformed entry")),
        (lambda value: value["categories"][1].update(id=1), ("error", "duplicate id in categories")),
        (lambda value: value["categories"][1].update(name="cat"), ("error", "duplicate name in categories")),
        (lambda value: value["categories"].clear(), ("error", "no categories")),
        (lambda value: value["images"].clear(), ("error", "no images")),
        (lambda value: value["annotations"].clear(), ("error", "no objects")),
        (lambda value: value.pop("images"), ("error", "unusable annotation file")),
    ],
)
def test_each_defect_is_found(checked, spoil, problem):
    assert problem in kinds(checked(spoil))


def test_a_defect_is_reported_where_it_is_and_nowhere_else(checked):
    (problem,) = checked(set_box(40, 0, 5, 5)).problems
    assert problem.where == "annotation 1 of 1.jpg"
    assert "[40, 0, 5, 5] in an image of 40x30" in problem.what


def test_images_with_more_objects_than_a_config_holds_are_told_of_in_one_warning(tmp_path):
    value = crowded([120, 3, 150, 100])
    for image in value["images"]:
        image.update(width=40, height=30)
    write_split(tmp_path, value=value)
    split = find_splits(tmp_path)["train"]

    def dense(limit):
        report = check_split(split, limit=limit)
        assert report.densest == 150
        return [
            (problem.severity, problem.where, problem.what)
            for problem in report.problems
            if problem.kind == "more objects than detections"
        ]

    ((severity, where, what),) = dense(100)
    assert (severity, where) == ("warning", "3.jpg")
    assert what.startswith("150 objects, and 2 of 4 images have more than the 100 detections")
    assert [what[:26] for _, _, what in dense(149)] == ["150 objects, and 1 of 4 im"]
    assert dense(150) == dense(None) == []


def test_crowds_count_neither_as_objects_nor_as_something_to_train_on(checked):
    def only_crowds(value):
        for annotation in value["annotations"]:
            annotation["iscrowd"] = 1

    report = checked(only_crowds)
    assert (report.objects, report.gt_counts["0"]) == (0, 2)
    assert kinds(report) == [("error", "no objects")]


def test_objects_that_training_leaves_out_are_none_to_train_on(checked):
    def all_too_small(value):
        for annotation in value["annotations"]:
            annotation["bbox"][2] = 0.5

    assert ("error", "no objects") in kinds(checked(all_too_small))


def test_what_has_no_end_is_no_image_and_not_waited_for(tmp_path):
    write_split(tmp_path, value=content(images=2))
    for number, make in ((1, os.mkfifo), (2, lambda path: path.symlink_to("/dev/zero"))):
        (tmp_path / f"images/{number}.jpg").unlink()
        make(tmp_path / f"images/{number}.jpg")
    report = check_split(find_splits(tmp_path)["train"])
    assert [(problem.kind, problem.where) for problem in report.problems] == [
        ("unreadable image", "1.jpg"),
        ("unreadable image", "2.jpg"),
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_images_cut_short_are_found(tmp_path, suffix):
    value = content(images=3)
    for image in value["images"]:
        image["file_name"] = f"{image['id']}.{suffix}"
    write_split(tmp_path, value=value)
    whole = (tmp_path / f"images/1.{suffix}").read_bytes()
    (tmp_path / f"images/1.{suffix}").write_bytes(whole[: len(whole) * 9 // 10])
    (tmp_path / f"images/2.{suffix}").write_bytes(b"")
    report = check_split(find_splits(tmp_path)["train"])
    assert [(problem.kind, problem.where) for problem in report.problems] == [
        ("unreadable image", f"1.{suffix}"),
        ("unreadable image", f"2.{suffix}"),
    ]


def test_the_size_of_an_image_is_that_after_its_exif_orientation(tmp_path):
    write_split(tmp_path)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (30, 40)).save(tmp_path / "images/1.jpg", exif=exif)
    assert check_split(find_splits(tmp_path)["train"]).problems == []


def test_a_validation_split_without_objects_is_an_error_as_it_is_to_training(tmp_path):
    path = write_split(tmp_path, "annotations/val.json", value={**content(), "annotations": []})
    assert kinds(check_split(find_splits(tmp_path)["val"])) == [("error", "no objects")]
    with pytest.raises(DataError, match="no objects in the val split"):
        load_with_objects(path, "val")


def test_splits_must_agree_on_their_categories(tmp_path):
    write_split(tmp_path)
    write_split(tmp_path, "annotations/val.json", value=content(category_names=("cat", "cow")))
    reports = check_splits(find_splits(tmp_path))
    assert kinds(reports["train"]) == []
    assert kinds(reports["val"]) == [("error", "other categories")]


def test_progress_counts_the_images(tmp_path):
    write_split(tmp_path, value=content(images=3))
    seen = []
    check_split(find_splits(tmp_path)["train"], progress=lambda *report: seen.append(report))
    assert seen == [("decoding", 1, 3), ("decoding", 2, 3), ("decoding", 3, 3)]


@given(st.lists(st.integers(0, 60)))
def test_every_image_falls_into_exactly_one_bin(counts):
    histogram = gt_count_histogram(counts)
    assert sum(histogram.values()) == len(counts)
    assert histogram["0"] == counts.count(0)
    assert histogram["8+"] == sum(count >= 8 for count in counts)


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the shared data sets")
@pytest.mark.parametrize(
    ("name", "split", "histogram"),
    [("bccd", "test", [0, 3, 3, 66]), ("coco128", "train", [2, 52, 31, 43]), ("coco128", "val", [0, 51, 37, 40])],
)
def test_real_datasets_are_sound_and_counted(name, split, histogram):
    report = check_split(find_splits(SHARED_DATA / name, splits=[split])[split])
    assert report.problems == []
    assert list(report.gt_counts.values()) == histogram
