import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rgacli.data.check import check_split
from rgacli.data.layout import YOLO, find_dataset, recognise
from rgacli.data.writing import _line
from rgacli.data.yolo_labels import label_file, objects_in
from rgacli.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")

BOX = "1 0.5 0.5 0.25 0.5\n"
AS_PIXELS = [15.0, 7.5, 10.0, 15.0]  # of 40x30


def image(path, size=(40, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path, **options)


def yolo(
    root, config="train: images/train\nval: images/val\nnames: [cat, dog]\n", folders=("images/train", "images/val")
):
    """Two images of 40x30 in each folder, of which the first has a dog."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(config)
    for folder in folders:
        for name in ("a.jpg", "b.png"):
            image(root / folder / name)
        label = label_file(root / folder / "a.jpg")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(BOX)
    return root


def contents(root, **options):
    found = recognise(root, **options)
    assert found.layout == YOLO
    return {name: json.loads(split.annotations.read_text()) for name, split in found.splits.items()}


def test_a_split_is_read_with_names_sizes_classes_and_boxes(tmp_path):
    content = contents(yolo(tmp_path))["train"]
    assert content["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30},
        {"id": 2, "file_name": "b.png", "width": 40, "height": 30},  # no label file: no objects
    ]
    assert content["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": AS_PIXELS, "area": 150.0, "iscrowd": 0}
    ]
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert check_split(recognise(tmp_path).splits["train"]).problems == []


@pytest.mark.parametrize(
    ("config", "folders"),
    [
        ("train: images/train\nval: images/val\n", ("images/train", "images/val")),
        ("train: train/images\nval: valid/images\n", ("train/images", "valid/images")),
        ("train: ../train/images\nvalidation: ../valid/images\n", ("train/images", "valid/images")),  # Roboflow's
        ("path: ../datasets/none\ntrain: images/train\nval: [images/val]\n", ("images/train", "images/val")),
        ("path: sub\ntrain: images/train\nval: images/val\ntest:\n", ("sub/images/train", "sub/images/val")),
        ("train: pictures/train\nval: pictures/val\n", ("pictures/train", "pictures/val")),  # labels beside them
    ],
)
def test_the_forms_in_which_paths_are_written(tmp_path, config, folders):
    root = yolo(tmp_path / "set", config + "names: [cat, dog]\n", folders)
    found = contents(root)
    assert {name: len(content["annotations"]) for name, content in found.items()} == {"train": 1, "val": 1}
    images = recognise(root).splits["val"].images
    assert images == root / folders[1]


def test_an_absolute_path_and_the_yaml_file_itself(tmp_path):
    root = yolo(tmp_path / "set")
    other = tmp_path / "elsewhere.yaml"
    other.write_text(f"path: {root}\ntrain: images/train\nnames: {{0: cat, 1: dog}}\n")
    assert list(contents(other)) == ["train"]
    assert find_dataset(other).classes == ("cat", "dog")


def test_lists_of_images(tmp_path):
    root = yolo(tmp_path, "train: lists/train.txt\nval: [val.txt, images/val]\nnames: [cat, dog]\n")
    (root / "lists").mkdir()
    (root / "lists/train.txt").write_text(f"./../images/train/b.png\n\nimages/train/a.jpg\n{root}/images/val/a.jpg\n")
    (root / "val.txt").write_text("./images/val/b.png\n./images/val/b.png\n")
    found = contents(root)
    assert [each["file_name"] for each in found["train"]["images"]] == ["train/b.png", "train/a.jpg", "val/a.jpg"]
    assert len(found["train"]["annotations"]) == 2
    assert [each["file_name"] for each in found["val"]["images"]] == ["b.png", "a.jpg"]
    (root / "val.txt").write_text("images/val/a.jpg\nimages/val/none.jpg\n")
    with pytest.raises(DataError, match=r"val\.txt:2: no such image: .*none\.jpg"):
        recognise(root)


def test_images_in_subfolders_keep_their_labels_and_names(tmp_path):
    root = yolo(tmp_path, folders=("images/train/day", "images/train/night", "images/val"))
    content = contents(root)["train"]
    assert [each["file_name"] for each in content["images"]] == ["day/a.jpg", "day/b.png", "night/a.jpg", "night/b.png"]
    assert [each["image_id"] for each in content["annotations"]] == [1, 3]


def test_an_image_that_exif_turns_is_measured_as_it_is_loaded(tmp_path):
    root = yolo(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    image(root / "images/train/a.jpg", exif=exif)
    content = contents(root)["train"]
    assert (content["images"][0]["width"], content["images"][0]["height"]) == (30, 40)
    assert content["annotations"][0]["bbox"] == [11.25, 10.0, 7.5, 20.0]


def test_a_polygon_has_its_box_area_and_mask(tmp_path):
    root = yolo(tmp_path)
    (root / "labels/train/a.txt").write_text("0 0.25 0.2 0.75 0.2 0.75 0.6\n")
    (thing,) = contents(root)["train"]["annotations"]
    assert (thing["bbox"], thing["area"]) == ([10.0, 6.0, 20.0, 12.0], 120.0)
    assert thing["segmentation"] == [[10.0, 6.0, 30.0, 6.0, 30.0, 18.0]]


def test_keypoints_are_left_aside(tmp_path):
    root = yolo(tmp_path, "train: images/train\nnames: [cat, dog]\nkpt_shape: [2, 2]\n")
    (root / "labels/train/a.txt").write_text(BOX.strip() + " 0.1 0.1 0.2 0.2\n")
    (thing,) = contents(root)["train"]["annotations"]
    assert thing["bbox"] == AS_PIXELS
    assert "segmentation" not in thing


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("x 0.5 0.5 0.1 0.1", "a.txt:2: not numbers: 'x 0.5 0.5 0.1 0.1'"),
        ("0 0.5 0.5 0.1", "a.txt:2: 3 numbers after the class: neither a box"),
        ("0 0.5 0.5 0.1 0.1 0.9", "a.txt:2: 5 numbers after the class"),
        ("2 0.5 0.5 0.1 0.1", r"a.txt:2: class 2 is none of the 2 \(0 to 1\)"),
        ("0.5 0.5 0.5 0.1 0.1", "a.txt:2: class 0.5 is none"),
        ("-1 0.5 0.5 0.1 0.1", "a.txt:2: class -1 is none"),
        ("0 nan 0.5 0.1 0.1", "a.txt:2: not in fractions"),
        ("0 20 15 4 4", "a.txt:2: not in fractions"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, complaint):
    root = yolo(tmp_path)
    (root / "labels/train/a.txt").write_text(BOX + line + "\n")
    with pytest.raises(DataError, match=complaint):
        recognise(root)


def test_what_tools_write_around_the_numbers_is_read(tmp_path):
    root = yolo(tmp_path)
    (root / "labels/train/a.txt").write_bytes(b"\xef\xbb\xbf1.0\t0.5  0.5 0.25 5e-1\r\n\r\n")
    (thing,) = contents(root)["train"]["annotations"]
    assert (thing["category_id"], thing["bbox"]) == (2, AS_PIXELS)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("train: [", "data.yaml:2?.*not valid YAML"),
        ("made: 2001-99-99", "not valid YAML"),
        ("x: " + "[" * 5000, "not valid YAML"),
        ("- 1", "not a YOLO dataset"),
        ("train: images/train", "names: not a list"),
        ("train: images/train\nnames: []", "names: not a list"),
        ("train: images/train\nnames: {1: cat}", "names: its keys are not the numbers from 0 to 0"),
        ("train: images/train\nnc: 3\nnames: [cat, dog]", "nc is 3, and names has 2"),
        ("train: none\nval: none\nnames: [cat, dog]", "none of the images that it names is there"),
    ],
)
def test_a_malformed_config_is_named(tmp_path, config, complaint):
    with pytest.raises(DataError, match=complaint):
        recognise(yolo(tmp_path, config))


def test_classes_may_be_numbered_alone(tmp_path):
    assert find_dataset(yolo(tmp_path, "train: images/train\nnc: 2\n")).classes == ("class_0", "class_1")


def test_a_split_whose_images_are_not_there_is_left_out(tmp_path):
    root = yolo(tmp_path, "train: images/train\nval: images/val\ntest: ../test/images\nnames: [cat, dog]\n")
    assert list(contents(root)) == ["train", "val"]
    with pytest.raises(DataError, match=re.escape("(YOLO) has no split 'test'; it has train, val")):
        recognise(root, splits=["test"])


def test_without_any_label_something_is_wrong(tmp_path):
    root = yolo(tmp_path)
    (root / "labels/val/a.txt").unlink()
    with pytest.raises(DataError, match=r"none of its 2 images has labels \(looked for .*labels/val/a\.txt"):
        recognise(root)


def test_images_that_cannot_be_read_are_named(tmp_path):
    root = yolo(tmp_path)
    (root / "images/train/b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 2 images cannot be read.*: b\.png"):
        recognise(root)


def test_another_yaml_file_is_taken_where_it_alone_describes_a_dataset(tmp_path):
    root = yolo(tmp_path)
    (root / "data.yaml").rename(root / "blood.yaml")
    (root / "hyperparameters.yml").write_text("lr0: 0.01\n")
    assert list(contents(root)) == ["train", "val"]
    (root / "second.yaml").write_text((root / "blood.yaml").read_text())
    with pytest.raises(DataError, match=r"several files describe a YOLO dataset \(blood\.yaml, second\.yaml\)"):
        recognise(root)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("images/train/a.b.jpg", "labels/train/a.b.txt"),
        ("images/images/a.jpg", "images/labels/a.txt"),
        ("pictures/a.jpg", "pictures/a.txt"),
        ("my_images/a.jpg", "my_images/a.txt"),
    ],
)
def test_where_labels_are(path, label):
    assert label_file(Path(path)) == Path(label)


@st.composite
def boxes(draw, step):
    """An image's size and a box in it, in whole steps (of 1/100 px, say)."""
    width, height = draw(st.integers(1, 6000)), draw(st.integers(1, 6000))
    x, y = draw(st.integers(0, width * step - 1)), draw(st.integers(0, height * step - 1))
    w, h = draw(st.integers(1, width * step - x)), draw(st.integers(1, height * step - y))
    return (width, height), [value / step for value in (x, y, w, h)]


def read(tmp_path_factory, text, size):
    file = tmp_path_factory.getbasetemp() / "line.txt"
    file.write_text(text)
    (thing,) = objects_in(file, size, 1, False)
    return thing["bbox"]


@given(boxes(100))
def test_a_box_of_cocos_two_decimals_survives_our_writing_and_the_usual_six_digits(tmp_path_factory, drawn):
    size, bbox = drawn
    line = _line(0, {"bbox": bbox}, size, False)
    assert read(tmp_path_factory, line, size) == bbox
    six = "0 " + " ".join(f"{float(value):.6f}" for value in line.split()[1:])
    assert read(tmp_path_factory, six, size) == bbox


@given(boxes(1000))
def test_a_box_of_more_decimals_survives_our_writing_but_for_rounding(tmp_path_factory, drawn):
    size, bbox = drawn
    found = read(tmp_path_factory, _line(0, {"bbox": bbox}, size, False), size)
    assert found == pytest.approx(bbox, abs=0.0051)
