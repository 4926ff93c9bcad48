from pathlib import Path

import pytest

from rgacli.data.coco_layouts import find_test_dev
from rgacli.data.layout import find_dataset, find_splits
from rgacli.data.splits import Split
from rgacli.errors import DataError
from tests.data.coco_files import SHARED_DATA, content, write_split


def test_cocos_own_layout(tmp_path):
    write_split(tmp_path, "annotations/instances_train2017.json", "train2017")
    write_split(tmp_path, "annotations/instances_val2017.json", "val2017")
    (tmp_path / "annotations/captions_train2017.json").write_text("not read")
    (tmp_path / "annotations/image_info_test2017.json").write_text("not read")
    dataset = find_dataset(tmp_path)
    assert list(dataset.splits) == ["train", "val"]
    assert dataset.split("train") == Split(
        "train", tmp_path / "annotations/instances_train2017.json", tmp_path / "train2017"
    )


def test_of_two_years_the_newest_that_has_images_is_taken(tmp_path):
    for year in (2014, 2015, 2017):
        write_split(tmp_path, f"annotations/instances_train{year}.json", f"train{year}")
    assert find_dataset(tmp_path).split("train").images.name == "train2017"
    for file in (tmp_path / "train2017").iterdir():
        file.unlink()
    (tmp_path / "train2017").rmdir()
    split = find_dataset(tmp_path).split("train")
    assert (split.annotations.name, split.images.name) == ("instances_train2015.json", "train2015")


@pytest.mark.parametrize("folder", ["images", "images/train"])
def test_the_plain_layout_with_shared_and_with_own_image_folders(tmp_path, folder):
    write_split(tmp_path, "annotations/train.json", folder)
    assert find_dataset(tmp_path).split("train").images == tmp_path / folder


def test_relative_roots_become_absolute(tmp_path, monkeypatch):
    write_split(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    dataset = find_dataset(Path("set"))
    assert dataset.root == tmp_path / "set"
    assert dataset.split("train").annotations.is_absolute()


def test_classes_stand_in_the_order_of_the_file(tmp_path):
    value = content(category_names=("zebra", "ant", "cow"))
    value["categories"].reverse()
    write_split(tmp_path, value=value)
    assert find_dataset(tmp_path).classes == ("cow", "ant", "zebra")


def test_files_may_be_named_from_the_root_or_the_working_folder(tmp_path, monkeypatch):
    write_split(tmp_path / "set", "labels/a.json", "pictures")
    write_split(tmp_path / "set", "labels/b.json", "pictures")
    monkeypatch.chdir(tmp_path)
    dataset = find_dataset(
        tmp_path / "set",
        annotations={"train": Path("labels/a.json"), "val": Path("set/labels/b.json"), "test": None},
        images={"train": Path("pictures"), "val": tmp_path / "set/pictures"},
    )
    assert {split.annotations.name for split in dataset.splits.values()} == {"a.json", "b.json"}
    assert {split.images for split in dataset.splits.values()} == {tmp_path / "set/pictures"}


def test_only_the_splits_asked_for_are_looked_at(tmp_path):
    write_split(tmp_path, "annotations/instances_val2017.json", "val2017")
    (tmp_path / "annotations/instances_train2017.json").write_text("{")  # and no train2017/
    assert list(find_dataset(tmp_path, splits=["val"]).splits) == ["val"]
    with pytest.raises(DataError, match="no annotations of test"):
        find_dataset(tmp_path, splits=["val", "test"])


def test_a_split_that_is_not_there_names_those_that_are(tmp_path):
    write_split(tmp_path)
    with pytest.raises(DataError, match="no split 'val'; it has train"):
        find_dataset(tmp_path).split("val")


@pytest.mark.parametrize("images", ["test2017", "images/test2017", "images"])
def test_test_dev_lies_beside_the_annotated_splits(tmp_path, images):
    value = content()
    del value["annotations"]
    for year in ("2015", "2017"):
        write_split(tmp_path, f"annotations/image_info_test-dev{year}.json", images, value)
    split = find_test_dev(tmp_path)
    assert (split.annotations.name, split.images) == ("image_info_test-dev2017.json", tmp_path / images)


def test_test_dev_that_is_not_there_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"looked for annotations/image_info_test-dev<year>\.json"):
        find_test_dev(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/image_info_test-dev2017.json").write_text("{}")
    with pytest.raises(DataError, match=r"no images for image_info_test-dev2017\.json: looked for test2017/, images/"):
        find_test_dev(tmp_path)


def test_crowdhumans_folder_of_images_is_known(tmp_path):
    write_split(tmp_path, "annotations/train.json", "Images")
    assert find_splits(tmp_path)["train"].images == tmp_path / "Images"


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_dataset(tmp_path / "none")


def test_a_folder_without_annotations_says_what_is_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"no dataset is recognised: .*instances_.*Roboflow.*YOLO.*VOC.*one COCO"):
        find_dataset(tmp_path)


def test_annotations_without_images_say_where_those_were_looked_for(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val2017.json").write_text("{}")
    with pytest.raises(
        DataError, match=r"looked for val2017/, images/val2017/, images/val/, images/, Images/; .*by val_images"
    ):
        find_splits(tmp_path)


def test_a_named_file_or_folder_must_exist(tmp_path):
    write_split(tmp_path)
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        find_splits(tmp_path, annotations={"train": Path("none.json")})
    with pytest.raises(DataError, match="none: no such folder"):
        find_splits(tmp_path, images={"train": Path("none")})
    with pytest.raises(DataError, match="name them with val_ann"):
        find_splits(tmp_path, images={"val": Path("images")})


def test_splits_with_other_categories_are_refused(tmp_path):
    write_split(tmp_path)
    write_split(tmp_path, "annotations/val.json", value=content(category_names=("cat", "cow")))
    with pytest.raises(DataError, match='not those of train: category 2 is "cow", not "dog"'):
        find_dataset(tmp_path)


def test_annotations_without_categories_are_refused(tmp_path):
    write_split(tmp_path, value=content(category_names=()))
    with pytest.raises(DataError, match="lists no categories"):
        find_dataset(tmp_path)


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the shared data sets")
@pytest.mark.parametrize(
    ("name", "splits", "classes"), [("bccd", ["train", "val", "test"], 3), ("coco128", ["train", "val"], 80)]
)
def test_real_datasets_are_found(name, splits, classes):
    dataset = find_dataset(SHARED_DATA / name)
    assert list(dataset.splits) == splits
    assert len(dataset.classes) == classes
