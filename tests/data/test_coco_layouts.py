import json

import pytest

from rgacli.data.annotations import load_annotations
from rgacli.data.layout import COCO, ROBOFLOW, SINGLE, find_dataset, recognise
from rgacli.errors import DataError, UsageError
from tests.data.coco_files import content, write_split

pytestmark = pytest.mark.usefixtures("cache")

# Roboflow's COCO export


def roboflow(root, categories, folders=("train", "valid", "test")):
    value = {**content(images=2), "categories": categories}
    for folder in folders:
        write_split(root, f"{folder}/_annotations.coco.json", folder, value)
    return root


def categories(*rows):
    return [dict(zip(("supercategory", "id", "name"), row, strict=True)) for row in rows]


def test_roboflows_grouping_category_is_no_class(tmp_path, cache):
    roboflow(tmp_path, categories(("none", 0, "cells"), ("cells", 1, "cat"), ("cells", 2, "dog")))
    dataset = find_dataset(tmp_path)
    assert (list(dataset.splits), dataset.classes) == (["train", "val", "test"], ("cat", "dog"))
    assert dataset.splits["val"].images == tmp_path / "valid"
    assert dataset.splits["val"].annotations.is_relative_to(cache)
    own = json.loads((tmp_path / "valid/_annotations.coco.json").read_text())
    kept = load_annotations(dataset.splits["val"].annotations)
    assert kept == {**own, "categories": own["categories"][1:]}


def test_a_class_that_bears_the_projects_name_stays(tmp_path):
    roboflow(
        tmp_path, [{"supercategory": "none", "id": 0, "name": "cat"}, {"supercategory": "cat", "id": 1, "name": "cat"}]
    )
    assert find_dataset(tmp_path).classes == ("cat",)


def test_a_category_with_objects_stays_even_if_it_groups_others(tmp_path):
    roboflow(
        tmp_path, [{"supercategory": "none", "id": 1, "name": "cat"}, {"supercategory": "cat", "id": 2, "name": "dog"}]
    )
    assert find_dataset(tmp_path).classes == ("cat", "dog")


def test_without_a_grouping_category_the_export_is_used_as_it_is(tmp_path, cache):
    roboflow(tmp_path, [{"id": 1, "name": "cat", "supercategory": "cat"}])
    found = recognise(tmp_path)
    assert found.layout == ROBOFLOW
    assert found.splits["train"].annotations == tmp_path / "train/_annotations.coco.json"
    assert list(cache.iterdir()) == []


# one COCO file


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations.json", "images"),
        ("result.json", "."),
        ("_annotations.coco.json", "."),
        ("labels.json", "data"),  # FiftyOne
        ("annotations/instances_default.json", "images/default"),  # CVAT
        ("cells.json", "cells"),
        ("annotations/cells.json", "images"),
    ],
)
def test_a_single_file_and_its_images_are_found(tmp_path, annotations, images):
    file = write_split(tmp_path, annotations, images, content(images=10))
    (file.parent / f".{file.stem}.x2y.json").write_text("{")  # by something that was killed
    for root in (tmp_path, file):
        with pytest.raises(DataError, match=r"\(one COCO file\) is not divided .* give split_by=80:10:10"):
            recognise(root)
        found = recognise(root, split_by="80:10:10")
        assert found.layout == SINGLE
        assert {split.images for split in found.splits.values()} == {tmp_path / images}
        sizes = {name: len(load_annotations(split.annotations)["images"]) for name, split in found.splits.items()}
        assert sizes == {"train": 8, "val": 1, "test": 1}


def test_the_images_of_a_single_file_can_be_named(tmp_path):
    file = write_split(tmp_path, "annotations.json", "pictures", content(images=4))
    with pytest.raises(DataError, match=r"its images \(first: 1\.jpg\) are not found: looked in"):
        recognise(tmp_path, split_by="80:20")
    for root in (tmp_path, file):
        found = recognise(root, split_by="80:20", images={"train": tmp_path / "pictures"})
        assert found.splits["val"].images == tmp_path / "pictures"


def test_other_json_files_are_no_dataset(tmp_path):
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(DataError, match="no dataset is recognised"):
        recognise(tmp_path)
    (tmp_path / "annotations.json").write_text("{}")
    with pytest.raises(DataError, match=r'annotations\.json: not COCO instance annotations: it has no "images"'):
        recognise(tmp_path)


def test_a_malformed_file_cannot_be_divided(tmp_path):
    value = content(images=4)
    del value["annotations"][1]["bbox"]
    write_split(tmp_path, "annotations.json", value=value)
    with pytest.raises(DataError, match=r'annotations\.json: annotations\[1\]: no "bbox"'):
        recognise(tmp_path, split_by="80:20")


# dividing


def test_a_dataset_of_one_split_can_be_divided_and_one_of_several_not(tmp_path):
    write_split(tmp_path, value=content(images=10))
    assert recognise(tmp_path).layout == COCO
    with pytest.raises(DataError, match="has no split 'val'; it has train; split_by=80:10:10 divides it"):
        find_dataset(tmp_path).split("val")
    assert list(recognise(tmp_path, split_by="80:20").splits) == ["train", "val"]
    write_split(tmp_path, "annotations/val.json")
    with pytest.raises(UsageError, match=r"has its splits already \(train, val\): leave out split_by"):
        recognise(tmp_path, split_by="80:20")


# what is named although the layout tells it


def test_a_layout_that_tells_its_files_takes_no_others(tmp_path):
    roboflow(tmp_path, [{"id": 1, "name": "cat"}])
    with pytest.raises(UsageError, match=r"\(Roboflow's COCO export\) tells by itself .* leave out val_images"):
        recognise(tmp_path, images={"val": tmp_path})


@pytest.mark.parametrize("name", ["data.csv", "images.zip"])
def test_a_file_that_is_no_dataset(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="no dataset is recognised"):
        recognise(tmp_path / name)
