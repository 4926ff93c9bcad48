import json
import os
import shutil

import pytest

from rgacli.data import yolo
from rgacli.data.layout import recognise, restore_annotations
from rgacli.errors import DataError
from tests.data.coco_files import content, write_split
from tests.data.test_yolo import BOX, image
from tests.data.test_yolo import yolo as write_yolo


def train_file(root, **options):
    return recognise(root, **options).splits["train"].annotations


def test_a_dataset_is_converted_once_and_never_written_to(tmp_path, cache, monkeypatch):
    root = write_yolo(tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    file = train_file(root)
    assert file.is_relative_to(cache / "annotations")
    assert file.parent.name.startswith("set-")
    monkeypatch.setattr(yolo, "_to_coco", None)
    assert train_file(root) == file
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "labels/train/a.txt").write_text(BOX * 2),
        lambda root: (root / "labels/val/b.txt").write_text(BOX),
        lambda root: (root / "data.yaml").write_text((root / "data.yaml").read_text().replace("dog", "cow")),
        lambda root: image(root / "images/train/c.jpg"),
        lambda root: image(root / "images/train/a.jpg", size=(80, 60)),
        lambda root: (root / "images/train/b.png").unlink(),
    ],
)
def test_a_changed_dataset_is_converted_anew(tmp_path, cache, change):
    root = write_yolo(tmp_path / "set")
    old = train_file(root)
    content = old.read_bytes()
    change(root)
    assert train_file(root) != old
    assert old.read_bytes() == content  # which runs go on naming


def test_a_dataset_that_was_moved_or_copied_is_the_same(tmp_path, cache):
    root = write_yolo(tmp_path / "set")
    old = recognise(root).splits["train"]
    (tmp_path / "new").mkdir()
    shutil.move(root, tmp_path / "new/set")
    os.utime(tmp_path / "new/set/labels/train/a.txt", (0, 0))
    new = recognise(tmp_path / "new/set").splits["train"]
    assert (new.annotations, new.images) == (old.annotations, tmp_path / "new/set/images/train")


def test_a_conversion_that_fails_leaves_nothing(tmp_path, cache):
    root = write_yolo(tmp_path / "set")
    (root / "labels/val/a.txt").write_text("0 0\n")
    with pytest.raises(DataError):
        recognise(root)
    assert list((cache / "annotations").iterdir()) == []


def test_each_way_of_dividing_is_kept(tmp_path, cache):
    write_split(tmp_path, "annotations.json", value=content(images=10))
    files = {spec: train_file(tmp_path, split_by=spec) for spec in ("80:20", "60:40", "80:10:10", "8:2")}
    assert len(set(files.values())) == 4
    assert json.loads(files["80:20"].read_text()) == json.loads(files["8:2"].read_text())
    assert train_file(tmp_path, split_by="80:20") == files["80:20"]


# what a run was trained on, and the cache emptied since


@pytest.mark.parametrize("split_by", [None, "50:50"])
def test_annotations_are_converted_again_to_where_they_were(tmp_path, cache, split_by, monkeypatch):
    if split_by:
        write_split(tmp_path / "set", "annotations.json", value=content(images=4))
    else:
        write_yolo(tmp_path / "set")
    split = recognise(tmp_path / "set", split_by=split_by).splits["val"]
    before = split.annotations.read_bytes()
    assert split.converted_from == (tmp_path / "set", split_by)
    shutil.rmtree(cache / "annotations")
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path / "another"))
    restore_annotations(split.annotations, *split.converted_from)
    assert split.annotations.read_bytes() == before


def test_annotations_of_a_dataset_that_has_changed_cannot_be(tmp_path, cache):
    root = write_yolo(tmp_path / "set")
    file = train_file(root)
    shutil.rmtree(cache / "annotations")
    (root / "labels/train/a.txt").write_text(BOX * 2)
    with pytest.raises(DataError, match=r"gone from the cache, and cannot be made again: .* has changed since"):
        restore_annotations(file, root, None)
    shutil.rmtree(root)
    with pytest.raises(DataError, match="set: no dataset is recognised"):
        restore_annotations(file, root, None)
