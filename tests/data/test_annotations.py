import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.data.annotations import (
    category_counts,
    category_difference,
    category_names,
    gt_boxes,
    gt_counts,
    has_masks,
    load_annotations,
    load_with_objects,
    read_annotations,
)
from rgacli.errors import DataError
from tests.data.coco_files import MALFORMED_BOXES, content


@pytest.fixture
def saved(tmp_path):
    def save(value):
        path = tmp_path / "ann.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return save


def test_a_good_file_is_read_as_it_is(saved):
    assert load_annotations(saved(content(images=3))) == content(images=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [', "not valid JSON"),
        ("\x00\xff", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a":' * 100_000, "not valid JSON"),
        ("[]", "expected an object, found a list"),
        ('{"images": [], "categories": []}', 'no "annotations"'),
        ('{"images": {}, "annotations": [], "categories": []}', '"images" is not a list'),
        ('{"images": [1], "annotations": [], "categories": []}', '"images" is not a list of objects'),
    ],
)
def test_a_file_without_cocos_structure_is_one_line_that_names_it(saved, text, message):
    path = saved(text)
    with pytest.raises(DataError, match=message) as raised:
        read_annotations(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="no such annotation file"):
        read_annotations(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("section", "field"),
    [("images", "id"), ("images", "width"), ("annotations", "bbox"), ("annotations", "area"), ("categories", "name")],
)
def test_every_field_that_is_used_must_be_there(saved, section, field):
    value = content()
    del value[section][0][field]
    with pytest.raises(DataError, match=rf'{section}\[0\]: no "{field}"'):
        load_annotations(saved(value))


def test_a_field_of_the_wrong_type_is_named(saved):
    value = content()
    value["annotations"][0]["image_id"] = "1"
    with pytest.raises(DataError, match=r'annotations\[0\]: "image_id" is a string'):
        load_annotations(saved(value))


@pytest.mark.parametrize("box", MALFORMED_BOXES)
def test_a_box_that_is_not_four_finite_numbers_is_refused(saved, box):
    with pytest.raises(DataError, match=r'annotations\[0\]: "bbox" is \[.*\], not four finite numbers'):
        load_annotations(saved(content(box=box)))


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_is_not_finite_is_refused(saved, number):
    value = json.dumps(content()).replace('"area": 100.0', f'"area": {number}')
    with pytest.raises(DataError, match=r'annotations\[0\]: "area" is '):
        load_annotations(saved(value))


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0, 1, None])), max_size=30))
def test_gt_counts_are_the_non_crowd_boxes_of_each_listed_image(boxes):
    images = [{"id": i} for i in range(1, 5)]  # image 5 is not listed
    annotations = [{"image_id": i, "category_id": 1, "iscrowd": crowd} for i, crowd in boxes]
    for annotation in annotations:
        if annotation["iscrowd"] is None:
            del annotation["iscrowd"]
    unlisted = [{"image_id": 1, "category_id": 2}]  # which is not evaluated either
    content = {"images": images, "categories": [{"id": 1}], "annotations": annotations + unlisted}
    counts = gt_counts(content)
    assert counts == {i: sum(1 for image, crowd in boxes if image == i and not crowd) for i in range(1, 5)}


def test_category_names_stand_in_the_order_of_the_file():
    value = {"categories": [{"id": 7, "name": "b"}, {"id": 2, "name": "z"}, {"id": 4, "name": "a"}]}
    assert list(category_names(value)) == [category["id"] for category in value["categories"]]


names = st.dictionaries(st.integers(0, 4), st.sampled_from(["a", "b"]))


@given(names, names)
def test_categories_differ_exactly_when_ids_names_or_their_order_do(mine, others):
    assert (category_difference(mine, others) is None) == (list(mine.items()) == list(others.items()))


def test_a_list_of_images_will_do_where_no_objects_are_wanted(saved):
    value = content(images=2)
    del value["annotations"]
    path = saved(value)
    assert load_annotations(path, labelled=False) == {**value, "annotations": []}
    with pytest.raises(DataError, match='it has no "annotations"'):
        load_annotations(path)
    with pytest.raises(DataError, match='it has no "categories"'):
        load_annotations(saved({"images": value["images"]}), labelled=False)


def test_other_classes_are_left_out_with_their_objects(saved):
    value = content(images=3)
    value["annotations"][1]["category_id"] = 2
    path = saved(value)
    found = load_annotations(path, classes=["dog", "cow"])
    assert found == {**value, "categories": value["categories"][1:], "annotations": value["annotations"][1:2]}
    assert list(gt_counts(found).values()) == [0, 1, 0]
    assert load_with_objects(path, "val", ["dog"])["annotations"] == value["annotations"][1:2]
    with pytest.raises(DataError, match="no objects in the val split"):
        load_with_objects(path, "val", ["cow"])


def test_masks_are_there_if_every_object_has_one():
    polygon = {"segmentation": [[1, 1, 9, 1, 9, 9]]}
    assert not has_masks(content())
    assert not has_masks({"annotations": [polygon, {"segmentation": []}]})
    assert has_masks({"annotations": [polygon, {"segmentation": {"size": [9, 9], "counts": [81]}, "iscrowd": 1}]})


def test_boxes_are_counted_without_crowds_and_those_of_unknown_images():
    value = content(images=3)
    value["annotations"][0]["iscrowd"] = 1
    value["annotations"][1]["image_id"] = 99
    assert [box["image_id"] for box in gt_boxes(value)] == [3]
    assert gt_counts(value) == {1: 0, 2: 0, 3: 1}
    assert category_counts(value) == {1: 1, 2: 0}
