import json

import pytest
from PIL import Image

from rgacli.data.layout import VOC, find_dataset, recognise
from rgacli.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")

SIZE = "<size><width>40</width><height>30</height><depth>3</depth></size>"


def thing(name, *corners, more=""):
    inside = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{inside}</bndbox></object>"


def xml(*things, size=SIZE, file_name="other.jpg"):
    return f"<annotation><filename>{file_name}</filename>{size}{''.join(things)}</annotation>"


def voc(root, *, sets=None, labels="Annotations", images="JPEGImages"):
    """Three images of 40x30; a.xml has a dog, b.xml a cat, c.xml nothing."""
    for name, text in (("a", xml(thing("dog", 1, 1, 10, 20))), ("b", xml(thing("cat", 3, 4, 40, 30))), ("c", xml())):
        for folder in (root / labels, root / images):
            folder.mkdir(parents=True, exist_ok=True)
        (root / labels / f"{name}.xml").write_text(text)
        Image.new("RGB", (40, 30)).save(root / images / f"{name}.png")
    for name, lines in ({"train": "a\nb\n", "val": "c\na\n"} if sets is None else sets).items():
        (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Main/{name}.txt").write_text(lines)
    return root


def contents(root, **options):
    found = recognise(root, **options)
    assert found.layout == VOC
    return {name: json.loads(split.annotations.read_text()) for name, split in found.splits.items()}


def boxes(content):
    return [each["bbox"] for each in content["annotations"]]


def test_splits_are_read_with_names_sizes_classes_and_boxes(tmp_path):
    found = contents(voc(tmp_path))
    assert found["train"] == {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 40, "height": 30},  # not <filename>, which renaming leaves behind
            {"id": 2, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 10, 20], "area": 200, "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [2, 3, 38, 27], "area": 1026, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    assert [each["file_name"] for each in found["val"]["images"]] == ["c.png", "a.png"]
    assert found["val"]["categories"] == found["train"]["categories"]
    assert recognise(tmp_path).splits["val"].images == tmp_path / "JPEGImages"


@pytest.mark.parametrize("place", [".", "VOC2007", "VOCdevkit/VOC2012"])
def test_the_levels_at_which_it_may_be_named(tmp_path, place):
    voc(tmp_path / place)
    assert list(contents(tmp_path)) == ["train", "val"]


def test_of_several_years_one_has_to_be_named(tmp_path):
    voc(tmp_path / "VOC2007")
    voc(tmp_path / "VOC2012")
    with pytest.raises(DataError, match=r"several datasets \(VOC2007, VOC2012\)"):
        recognise(tmp_path)
    assert list(contents(tmp_path / "VOC2012")) == ["train", "val"]


def test_trainval_is_trained_on_only_where_there_is_no_train(tmp_path):
    found = contents(voc(tmp_path, sets={"trainval": "a\n", "test": "b  1\n", "cat_train": "c -1\n"}))
    assert {name: len(content["images"]) for name, content in found.items()} == {"train": 1, "test": 1}
    found = contents(voc(tmp_path, sets={"train": "a\nb\n"}))
    assert len(found["train"]["images"]) == 2


def test_a_split_without_annotations_is_left_out_and_one_that_lacks_some_refused(tmp_path):
    assert list(contents(voc(tmp_path, sets={"train": "a\n", "test": "x\ny\n"}))) == ["train"]
    with pytest.raises(DataError, match=r"train\.txt: 1 of 2 have no XML file in .*Annotations \(first: x\)"):
        recognise(voc(tmp_path, sets={"train": "a\nx\n"}))


def test_without_image_sets_it_is_divided_when_that_is_asked_for(tmp_path):
    voc(tmp_path, sets={}, labels="annotations", images="images")
    with pytest.raises(DataError, match=r"\(Pascal VOC\) is not divided into splits: give split_by=80:10:10"):
        recognise(tmp_path)
    found = contents(tmp_path, split_by="1:1:1")
    assert sorted(image["file_name"] for content in found.values() for image in content["images"]) == [
        *("a.png", "b.png", "c.png")
    ]


def test_roboflows_export_has_images_and_xml_files_together(tmp_path):
    for name, folder in (("train", "train"), ("val", "valid")):
        voc(tmp_path, sets={}, labels=folder, images=folder)
        assert recognise(tmp_path).splits[name].images == tmp_path / folder


def test_difficult_objects_become_crowds(tmp_path):
    voc(tmp_path)
    one, other = (thing("dog", 1, 1, 9, 9, more=f"<difficult>{value}</difficult>") for value in (1, 0))
    (tmp_path / "Annotations/a.xml").write_text(xml(one, other, thing("dog", 1, 1, 9, 9)))
    assert [each["iscrowd"] for each in contents(tmp_path)["train"]["annotations"]] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("corners", "box"), [((0, 0, 10, 20), [0, 0, 10, 20]), ((1.5, 1, 10.25, 20), [1.5, 1, 8.75, 19])]
)
def test_boxes_that_cannot_be_counted_from_one_are_edges_in_the_whole_dataset(tmp_path, corners, box):
    voc(tmp_path)
    (tmp_path / "Annotations/a.xml").write_text(xml(thing("dog", *corners)))
    found = contents(tmp_path)
    assert boxes(found["train"]) == [box, [3, 4, 37, 26]]
    assert boxes(found["val"]) == [box]


def test_parts_and_other_elements_are_no_objects(tmp_path):
    voc(tmp_path)
    part = "<part>" + thing("head", 2, 2, 5, 5).removeprefix("<object>").removesuffix("</object>") + "</part>"
    (tmp_path / "Annotations/a.xml").write_text(xml(thing("dog", 1, 1, 9, 9, more=part)))
    assert boxes(contents(tmp_path)["train"]) == [[0, 0, 9, 9], [2, 3, 38, 27]]


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_a_size_that_the_file_does_not_tell_is_read_of_the_image(tmp_path, size):
    voc(tmp_path)
    (tmp_path / "Annotations/a.xml").write_text(xml(size=size))
    image = contents(tmp_path)["train"]["images"][0]
    assert (image["width"], image["height"]) == (40, 30)
    (tmp_path / "JPEGImages/a.png").unlink()
    with pytest.raises(DataError, match=r"a\.xml: it tells no size, nor can the image be read: other\.jpg"):
        recognise(tmp_path)


def test_the_name_in_the_file_is_taken_where_the_image_has_no_other(tmp_path):
    voc(tmp_path)
    (tmp_path / "JPEGImages/a.png").rename(tmp_path / "JPEGImages/other.jpg")
    assert contents(tmp_path)["train"]["images"][0]["file_name"] == "other.jpg"


def test_the_order_of_classes_can_be_told(tmp_path):
    (voc(tmp_path) / "labels.txt").write_text("dog\n\nbird\n")
    assert find_dataset(tmp_path).classes == ("dog", "bird", "cat")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<annotation><object>", r"a\.xml: cannot be read \(no element found"),
        (xml("<object><bndbox/></object>"), r"a\.xml: object 1: no <name>"),
        (
            xml(thing("cat", 1, 1, 2, 2), "<object><name>dog</name></object>"),
            r"object 2 \(dog\): no number in .*<xmin>",
        ),
        (xml(thing("cat", 1, "?", 2, 2)), r"object 1 \(cat\): no number in <bndbox><ymin>"),
        (xml(thing("cat", 1, 1, 2, "nan")), r"object 1 \(cat\): no number in <bndbox><ymax>"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, text, complaint):
    voc(tmp_path)
    (tmp_path / "Annotations/a.xml").write_text(text)
    with pytest.raises(DataError, match=complaint):
        recognise(tmp_path)


def test_a_folder_of_annotations_without_xml_files_is_something_else(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/annotations.json").write_text("{}")
    with pytest.raises(DataError, match="no dataset is recognised"):
        recognise(tmp_path)
