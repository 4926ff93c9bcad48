import inspect
import json
from pathlib import Path

import pytest

from rgacli.api.data import check_dataset, convert_dataset, prepare_crowdhuman, synth_dataset
from rgacli.api.train import train
from rgacli.data import synthetic
from rgacli.errors import DataError, UsageError
from tests.data.coco_files import content, write_split
from tests.data.crowdhuman_files import write_crowdhuman
from tests.support.dense import crowded
from tests.support.disks import files_of_at_most

# synth_dataset


def test_what_is_drawn_is_found_sound(tmp_path):
    folder = synth_dataset(tmp_path / "new", train=3, val=2, test=0, size="64x48", max_objects=3)
    result = check_dataset(folder)
    assert result.ok
    assert (result.dataset, {name: report.images for name, report in result.splits.items()}) == (
        tmp_path / "new",
        {"train": 3, "val": 2},
    )


def test_the_defaults_draw_the_embedded_dataset():
    embedded = inspect.signature(synthetic.write_dataset).parameters
    own = {name: parameter.default for name, parameter in inspect.signature(synth_dataset).parameters.items()}
    assert {split: own[split] for split in synthetic.SIZES} == embedded["sizes"].default
    assert own["size"] == "160x128" == "{}x{}".format(*embedded["image_size"].default)
    assert (own["seed"], own["max_objects"]) == (embedded["seed"].default, embedded["max_objects"].default)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *[(dict(size=size), f"size={size}: not a width and a height") for size in ("160", "axb", "160x", "-1x5")],
        (dict(size="16x16"), "images of 16x16 are too small"),
        (
            dict(max_objects=0),
            "max_objects and median_objects must be 1 or more, seed and the numbers of",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        synth_dataset(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


# check_dataset


def test_a_dataset_is_reported_split_by_split(tmp_path):
    train = write_split(tmp_path, value=content(images=2))
    (tmp_path / "annotations/val.json").write_text("{")
    result = check_dataset(tmp_path)
    assert not result.ok
    assert list(result.splits) == ["train", "val"]
    assert (result.splits["train"].annotation_file, result.splits["train"].image_folder) == (train, tmp_path / "images")
    assert result.splits["train"].problems == []
    assert result.splits["val"].problems[0].kind == "unusable annotation file"


def test_warnings_alone_are_fine_to_train_on(tmp_path):
    write_split(tmp_path, value=content(images=2, box=(35, 0, 10, 5)))
    result = check_dataset(tmp_path)
    assert result.ok
    assert [problem.severity for problem in result.splits["train"].problems] == ["warning"] * 2


@pytest.mark.parametrize(
    ("config", "warnings"),
    [(None, ["100 detections"]), ("faster-rcnn_r50_fpn_8xb2-30e_crowdhuman", [])],
)
def test_images_that_a_configs_limits_cannot_hold_are_warned_of(tmp_path, config, warnings):
    value = crowded([101, 100])
    for image in value["images"]:
        image.update(width=40, height=30)
    write_split(tmp_path, value=value)
    problems = check_dataset(tmp_path, config=config).splits["train"].problems
    dense = [problem.what for problem in problems if problem.kind == "more objects than detections"]
    assert [what[what.index("the ") + 4 : what.index(" that")] for what in dense] == warnings


@pytest.mark.parametrize("split", ["val", ["val"]])
def test_the_split_and_its_files_may_be_named(tmp_path, split):
    write_split(tmp_path, "annotations/train.json", value=content(box=(99, 0, 5, 5)))
    write_split(tmp_path, "labels/mine.json", "pictures")
    files = {"val_ann": Path("labels/mine.json"), "val_images": Path("pictures")}
    assert not check_dataset(tmp_path, **files).ok
    result = check_dataset(tmp_path, split=split, **files)
    assert (result.ok, list(result.splits)) == (True, ["val"])
    with pytest.raises(UsageError, match="files of val are named, which split leaves out: add split=val"):
        check_dataset(tmp_path, split="train", **files)


def test_files_are_of_a_dataset_that_is_named():
    """Of which the embedded one is none: its other splits are of other classes."""
    with pytest.raises(UsageError, match="train_ann is of a dataset: name its folder"):
        check_dataset(train_ann=Path("mine.json"))
    with pytest.raises(UsageError, match="train_ann is of a dataset: give its folder by data"):
        train(train_ann=Path("mine.json"), device="cpu")


def test_without_a_folder_the_embedded_dataset_is_checked(tmp_path, monkeypatch):
    write = synthetic.write_dataset
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "write_dataset", lambda root, progress: write(root, sizes={"train": 2}))
    result = check_dataset()
    assert result.ok
    assert result.dataset == tmp_path / f"embedded-v{synthetic.VERSION}"


# prepare_crowdhuman


def test_crowdhuman_is_prepared_and_its_persons_counted(tmp_path):
    write_crowdhuman(tmp_path, {"train": 1, "val": 2})
    result = prepare_crowdhuman(tmp_path, split="val")
    assert result.ok
    (report,) = result.splits.values()
    written = json.loads(report.annotation_file.read_text())["annotations"]
    assert (report.images, report.persons, report.ignored) == (2, len(written) - 4, 4)
    assert list((tmp_path / "annotations").iterdir()) == [report.annotation_file]


def test_a_missing_image_leaves_crowdhuman_as_it_was(tmp_path):
    write_crowdhuman(tmp_path, {"val": 2})
    next((tmp_path / "Images").glob("00,*")).unlink()
    result = prepare_crowdhuman(tmp_path)
    assert not result.ok
    assert [problem.where for problem in result.splits["val"].problems] == ["00,val.jpg"]
    assert not (tmp_path / "annotations").exists()


@pytest.mark.parametrize(
    ("folder", "split", "complaint"),
    [
        ("gone", None, "gone: no such folder"),
        (".", None, "neither annotation_train.odgt nor annotation_val.odgt is there"),
        (".", "test", "split=test: it can be train or val"),
        (".", "val", "annotation_val.odgt: no such annotation file"),
    ],
)
def test_what_is_no_crowdhuman_is_refused(tmp_path, monkeypatch, folder, split, complaint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, DataError), match=complaint):
        prepare_crowdhuman(Path(folder), split=split)
    assert list(tmp_path.iterdir()) == []


# convert_dataset


def test_a_converted_dataset_is_sound_and_reported(tmp_path, cache):
    write_split(tmp_path / "old", value=content(images=2))
    told = []
    result = convert_dataset(
        tmp_path / "old", tmp_path / "new", to="yolo", progress=lambda *report: told.append(report[:3])
    )
    assert (result.dataset, result.layout, result.masks) == (tmp_path / "new", "COCO", None)
    assert told[-1] == ("copying", 2, 2)
    checked = check_dataset(tmp_path / "new")
    assert (checked.ok, checked.layout, checked.splits["train"].objects) == (True, "YOLO", 2)


def test_an_undivided_dataset_is_written_divided(tmp_path, cache):
    write_split(tmp_path / "old", "annotations.json", value=content(images=10))
    with pytest.raises(DataError, match="give split_by"):
        convert_dataset(tmp_path / "old", tmp_path / "new")
    result = convert_dataset(tmp_path / "old", tmp_path / "new", split_by="80:10:10", images="link")
    assert {name: written.images for name, written in result.splits.items()} == {"train": 8, "val": 1, "test": 1}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["annotations", "images"]


@pytest.mark.parametrize(
    ("to", "masks", "became"),
    [
        ("coco", [[[4, 4, 14, 4, 14, 14]], {"size": [30, 40], "counts": "x"}], "kept"),
        ("yolo", [[[4, 4, 14, 4, 14, 14]], [[4, 4, 14, 4, 14, 14]]], "polygons"),
        ("yolo", [[[4, 4, 14, 4, 14, 14]], None], "boxes"),
    ],
)
def test_what_became_of_masks(tmp_path, cache, to, masks, became):
    value = content(images=2)
    for each, mask in zip(value["annotations"], masks, strict=True):
        each["segmentation"] = mask
    write_split(tmp_path / "old", value=value)
    assert convert_dataset(tmp_path / "old", tmp_path / "new", to=to).masks == became
    if to == "yolo":
        lengths = {len(path.read_text().split()) for path in (tmp_path / "new/labels").rglob("*.txt")}
        assert lengths == {7 if became == "polygons" else 5}


def test_nothing_is_left_of_a_conversion_that_fails_or_is_stopped(tmp_path):
    write_split(tmp_path / "old", value=content(images=2))

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_dataset(tmp_path / "old", tmp_path / "new", progress=stop)
    (tmp_path / "old/images/2.jpg").unlink()
    with pytest.raises(DataError, match="1 of 2 images are missing"):
        convert_dataset(tmp_path / "old", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_an_empty_folder_is_written_into_and_another_left_alone(tmp_path):
    write_split(tmp_path / "old")
    (tmp_path / "new").mkdir()
    convert_dataset(tmp_path / "old", tmp_path / "new")
    before = sorted((tmp_path / "new").rglob("*"))
    with pytest.raises(UsageError, match="is there already and is not an empty folder"):
        convert_dataset(tmp_path / "old", tmp_path / "new", to="yolo")
    assert sorted((tmp_path / "new").rglob("*")) == before


@pytest.mark.parametrize("wrong", [dict(to="voc"), dict(images="move")])
def test_what_cannot_be_asked_for_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="it can be coco or yolo, and copy or link"):
        convert_dataset(tmp_path, tmp_path / "new", **wrong)


def test_a_dataset_that_finds_no_room_is_not_drawn_in_part(tmp_path):
    with pytest.raises(OSError, match="File too large") as caught, files_of_at_most(600):
        synth_dataset(tmp_path / "drawn", train=1, val=0, test=0, size="64x64")
    assert caught.value.filename == str(tmp_path / "drawn")
    assert list(tmp_path.iterdir()) == []
