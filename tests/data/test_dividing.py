from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.data.annotations import gt_counts
from rgacli.data.dividing import divide, parse_split_by
from rgacli.errors import DataError, UsageError


def coco(objects):
    """Annotations of images with objects of these categories each."""
    things = [(image, category) for image, categories in enumerate(objects) for category in categories]
    return {
        "info": {"year": 2024},
        "images": [{"id": image, "file_name": f"{image}.jpg"} for image in range(len(objects))],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category} for i, (image, category) in enumerate(things)
        ],
        "categories": [{"id": category} for category in range(5)],
    }


datasets = st.lists(st.lists(st.integers(0, 4), max_size=9), min_size=3, max_size=60).map(coco)
specs = st.lists(st.integers(1, 99), min_size=2, max_size=3)


@given(datasets, specs)
def test_every_image_is_in_one_split_with_its_objects_and_the_sizes_are_the_shares(content, shares):
    splits = divide(content, dict(zip(("train", "val", "test"), shares, strict=False)))
    images = [image["id"] for split in splits.values() for image in split["images"]]
    assert sorted(images) == [image["id"] for image in content["images"]]
    things = [each["id"] for split in splits.values() for each in split["annotations"]]
    assert sorted(things) == [each["id"] for each in content["annotations"]]
    for share, split in zip(shares, splits.values(), strict=True):
        own = [image["id"] for image in split["images"]]
        assert own == sorted(own)  # the file's order
        assert {each["image_id"] for each in split["annotations"]} <= set(own)
        assert (split["info"], split["categories"]) == (content["info"], content["categories"])
        exact = len(images) * share / sum(shares)
        assert len(own) >= 1
        if min(len(images) * each / sum(shares) for each in shares) >= 1:
            assert abs(len(own) - exact) < 1


@given(datasets)
def test_the_same_content_gives_the_same_splits(content):
    shares = {"train": 80, "val": 10, "test": 10}
    assert divide(content, shares) == divide(content, shares)
    assert divide(content, shares) == divide(content, {"train": 8, "val": 1, "test": 1})


@given(st.permutations([[0]] * 20 + [[1]] * 10 + [[0, 1, 2]] * 10 + [[3] * 9] * 10 + [[]] * 10))
def test_classes_and_numbers_of_objects_are_as_frequent_in_each_split(objects):
    splits = divide(coco(objects), {"train": 60, "val": 20, "test": 20})
    for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        counts = Counter(gt_counts(splits[name]).values())
        assert counts == {0: 10 * share, 1: 30 * share, 3: 10 * share, 9: 10 * share}
        classes = Counter(each["category_id"] for each in splits[name]["annotations"])
        assert classes == {0: 30 * share, 1: 20 * share, 2: 10 * share, 3: 90 * share}


def test_a_rare_class_is_in_every_split():
    objects = [[0]] * 190 + [[1]] * 10
    for split in divide(coco(objects), {"train": 80, "val": 10, "test": 10}).values():
        assert {each["category_id"] for each in split["annotations"]} == {0, 1}


def test_fewer_images_than_splits():
    with pytest.raises(DataError, match="2 images cannot be divided into 3 splits"):
        divide(coco([[0], [1]]), {"train": 1, "val": 1, "test": 1})


def test_shares():
    assert parse_split_by("80:10:10") == {"train": 80, "val": 10, "test": 10}
    assert parse_split_by("4:1") == {"train": 4, "val": 1}


@pytest.mark.parametrize("spec", ["", "80", "80:0:20", "80:-10:10", "1:1:1:1", "a:b", "80/20", "0.8:0.2", "80:20\n"])
def test_what_are_no_shares(spec):
    with pytest.raises(UsageError, match=r"give the shares of train, val and test as 80:10:10, or 80:20"):
        parse_split_by(spec)
