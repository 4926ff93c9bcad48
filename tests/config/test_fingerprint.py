import json
import shutil

import pytest
from mmengine.config import Config

from rgacli.config.dataset import require_trainable, require_unchanged
from rgacli.config.fingerprint import read_fingerprint, write_fingerprint
from rgacli.errors import DataError
from rgacli.files import write_json

SPLITS = ("train", "val", "test")


def annotations(images=3, objects=5, classes=("cat", "dog"), side=8):
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 32, "height": 32} for i in range(images)],
        "annotations": [
            dict(id=i, image_id=i % images, category_id=0, iscrowd=0, bbox=[1, 1, side, 8], area=side * 8)
            for i in range(objects)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
    }


@pytest.fixture
def root(tmp_path):
    """A dataset of three images a split."""
    for split in SPLITS:
        (tmp_path / split).mkdir()
        for number in range(3):
            (tmp_path / split / f"{number}.jpg").write_bytes(b"pixels")
        write_json(tmp_path / f"{split}.json", annotations())
    return tmp_path


@pytest.fixture
def cfg(root):
    loaders = {
        f"{split}_dataloader": dict(
            dataset=dict(type="CocoDataset", data_root=f"{root}/", ann_file=f"{split}.json", data_prefix={"img": split})
        )
        for split in SPLITS
    }
    return Config(dict(model=dict(bbox_head=dict(type="BBoxHead", num_classes=2)), **loaders))


@pytest.fixture
def record(cfg, tmp_path):
    """What a training on it noted."""
    found = require_trainable(cfg)
    write_fingerprint(tmp_path / "data.json", {split: found[split] for split in ("train", "val")})
    return tmp_path / "data.json"


def refusal(cfg, record):
    with pytest.raises(DataError) as refused:
        require_unchanged(cfg, record)
    return str(refused.value)


def test_a_dataset_is_told_in_short(cfg, record):
    facts = read_fingerprint(record)["train"]
    assert (facts.images, facts.image_bytes, facts.objects, facts.densest) == (3, 18, 5, 2)
    assert facts.classes == ("cat", "dog")
    assert read_fingerprint(record).keys() == {"train", "val"}


def test_one_that_is_as_it_was_is_gone_on_with_wherever_it_lies(cfg, root, record, tmp_path):
    require_unchanged(cfg, record)
    shutil.copytree(root, tmp_path / "moved", ignore=shutil.ignore_patterns("moved"))
    for split in SPLITS:
        cfg[f"{split}_dataloader"].dataset.data_root = str(tmp_path / "moved")
    shutil.rmtree(root / "train")
    require_unchanged(cfg, record)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (annotations(objects=4), "the train split has changed since the training began: 4 objects for 5 ("),
        (annotations(images=2), "2 images for 3"),
        (annotations(images=2, objects=3), "2 images for 3; 3 objects for 5"),
        (annotations(classes=("cat", "cow")), "classes cat, cow for cat, dog"),
        (annotations(side=9), "other annotations, as many as before"),
    ],
)
def test_what_has_changed_is_named_with_what_to_do(cfg, root, record, content, words):
    write_json(root / "train.json", content)
    told = refusal(cfg, record)
    assert words in told
    assert "train.json" in told
    assert f"by weights; with {record} removed this one goes on" in told


def test_other_pictures_under_the_same_names_are_a_change(cfg, root, record):
    (root / "val/1.jpg").write_bytes(b"more pixels")
    assert "the val split has changed since the training began: other image files (23 bytes for 18)" in refusal(
        cfg, record
    )


def test_what_was_not_trained_on_may_change(cfg, root, record):
    write_json(root / "test.json", annotations(objects=9))
    require_unchanged(cfg, record)


def test_what_is_gone_is_named(cfg, root, record):
    (root / "train/2.jpg").unlink()
    assert f"1 of the 3 images of the train split are not in {root}/train (first: 2.jpg)" in refusal(cfg, record)
    shutil.rmtree(root / "train")
    assert f"are not in {root}/train, which is no folder (first: 0.jpg)" in refusal(cfg, record)
    (root / "val.json").unlink()
    assert "val.json: no such annotation file; put it back, or change the run's config" in refusal(cfg, record)


def test_a_run_that_noted_nothing_is_gone_on_with_as_long_as_there_are_annotations(cfg, root, tmp_path):
    write_json(root / "train.json", annotations(objects=4))
    shutil.rmtree(root / "train")
    require_unchanged(cfg, tmp_path / "none.json")
    (root / "train.json").unlink()
    assert "no such annotation file" in refusal(cfg, tmp_path / "none.json")


@pytest.mark.parametrize("text", ["", "[]", '{"train": 1}', '{"train": {"classes": []}}', '{"train": {"sha256": ""}}'])
def test_a_damaged_note_says_how_to_do_without(cfg, tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text)
    assert refusal(cfg, path) == f"{path} is damaged: remove it, and go on without comparing the dataset."


def test_it_is_read_by_people_too(record):
    assert json.loads(record.read_text())["val"]["images"] == 3
    assert record.read_text().count("\n") > 10
