import inspect
import json
from pathlib import Path

import pytest

from rgacli.api.data import check_dataset, prepare_crowdhuman, synth_dataset
from rgacli.data import synthetic
from rgacli.errors import DataError, UsageError
from tests.data.coco_files import content, write_split
from tests.data.crowdhuman_files import write_crowdhuman

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
        (dict(max_objects=0), "max_objects must be 1 or more, seed and the numbers of images 0 or more"),
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
