import json
import zipfile

import pytest
from PIL import Image

from rgacli.data.annotations import gt_counts, is_crowdhuman, load_annotations
from rgacli.data.check import check_splits
from rgacli.data.crowdhuman import official_records, prepare
from rgacli.data.layout import find_splits
from rgacli.data.odgt import load_odgt
from rgacli.errors import DataError
from tests.cli.commands import snapshot
from tests.data.crowdhuman_files import person, write_crowdhuman, write_odgt, zip_images


@pytest.fixture
def download(tmp_path):
    """The official files of 3 images to train on and 2 to validate on."""
    write_crowdhuman(tmp_path, {"train": 3, "val": 2})
    return tmp_path


def test_full_bodies_become_coco_boxes(tmp_path):
    (tmp_path / "Images").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "Images/1,a.jpg")
    boxes = [
        person([-5, 2, 20, 40], vbox=[0, 2, 15, 20], hbox=[1, 2, 5, 5]),
        person([3, 3, 9, 9], extra={"ignore": 1}),
        person([30, 0, 10, 10], tag="mask"),
    ]
    write_odgt(tmp_path / "annotation_val.odgt", [{"ID": "1,a", "gtboxes": boxes}])
    (report,) = prepare(tmp_path).values()
    assert (report.images, report.persons, report.ignored, report.problems) == (1, 1, 2, [])
    content = json.loads((tmp_path / "annotations/val.json").read_text())
    assert content["images"] == [
        {"id": 1, "file_name": "1,a.jpg", "width": 40, "height": 30, "crowdhuman_id": "1,a"},
    ]
    assert content["categories"] == [{"id": 1, "name": "person"}]
    first, *others = content["annotations"]
    assert first == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [-5, 2, 20, 40],  # beyond the image, as it stands in the odgt
        "area": 800,
        "iscrowd": 0,
        "vis_bbox": [0, 2, 15, 20],
        "head_bbox": [1, 2, 5, 5],
    }
    assert [other["iscrowd"] for other in others] == [1, 1]
    assert json.loads((tmp_path / "id_hw_val.json").read_text()) == {"1,a": [30, 40]}


def test_what_is_prepared_is_a_dataset_that_says_what_it_is(download):
    prepare(download)
    splits = find_splits(download)
    assert {name: split.images for name, split in splits.items()} == dict.fromkeys(splits, download / "Images")
    for name, split in splits.items():
        content = load_annotations(split.annotations)
        assert is_crowdhuman(content)
        records = official_records(content, split.annotations)
        assert records == load_odgt(download / f"annotation_{name}.odgt")
        persons = [len(record["gtboxes"]) - 2 for record in records]
        assert list(gt_counts(content).values()) == persons


def test_bodies_beyond_the_border_are_no_problem_and_those_wholly_outside_no_error(download):
    prepare(download)
    path = download / "annotations/val.json"
    content = json.loads(path.read_text())
    sizes = {image["id"]: image for image in content["images"]}
    assert any(
        entry["bbox"][1] + entry["bbox"][3] > sizes[entry["image_id"]]["height"] + 1 for entry in content["annotations"]
    )
    reports = check_splits(find_splits(download))
    assert all(report.problems == [] for report in reports.values())

    content["annotations"][0]["bbox"] = [500, 0, 9, 9]
    path.write_text(json.dumps(content))
    (problem,) = check_splits(find_splits(download, splits=["val"]))["val"].problems
    assert (problem.severity, problem.kind) == ("warning", "box outside the image")


def test_mmdets_own_dataset_class_reads_the_folder(download, monkeypatch):
    import rgacli.compat  # noqa: F401  (first: it supplies what mmdet imports)

    # isort: split
    from mmdet.datasets import CrowdHumanDataset

    prepare(download)
    monkeypatch.setattr("mmcv.imfrombytes", None)  # it would read images for want of id_hw_train.json
    dataset = CrowdHumanDataset(
        data_root=f"{download}/", ann_file="annotation_train.odgt", data_prefix=dict(img="Images/"), pipeline=[]
    )
    dataset.full_init()
    ours = load_annotations(download / "annotations/train.json")
    assert len(dataset) == len(ours["images"])
    for info, image in zip(map(dataset.get_data_info, range(len(dataset))), ours["images"], strict=True):
        assert (info["img_id"], info["width"], info["height"]) == (
            image["crowdhuman_id"],
            image["width"],
            image["height"],
        )
        objects = [entry for entry in ours["annotations"] if entry["image_id"] == image["id"]]
        assert [instance["ignore_flag"] for instance in info["instances"]] == [entry["iscrowd"] for entry in objects]
        for instance, entry in zip(info["instances"], objects, strict=True):
            x, y, w, h = entry["bbox"]
            assert instance["bbox"] == [x, y, x + w, y + h]


def test_images_come_out_of_their_archives_wherever_they_lie_in_them(download):
    before = {path.name: path.read_bytes() for path in (download / "Images").iterdir()}
    zip_images(download, "CrowdHuman_train01.zip", "00,*")
    zip_images(download, "CrowdHuman_train02.zip", "01,*", folder="../../outside/")
    zip_images(download, "CrowdHuman_val.zip", "1*", folder="")
    with zipfile.ZipFile(download / "CrowdHuman_val.zip", "a") as content:
        content.writestr("Images/stranger.jpg", b"x")
    seen = []
    reports = prepare(download, progress=lambda *report: seen.append(report))
    assert not any(report.problems for report in reports.values())
    assert {path.name: path.read_bytes() for path in (download / "Images").iterdir()} == before
    assert not (download.parent.parent / "outside").exists()
    tasks = (("unpacking", 2), ("reading", 3), ("unpacking", 2), ("reading", 2))
    assert seen == [(task, done, total) for task, total in tasks for done in range(1, total + 1)]


def test_without_a_folder_of_images_the_archives_make_it(download):
    zip_images(download, "CrowdHuman_val.zip", "*val.jpg")
    zip_images(download, "CrowdHuman_train01.zip")
    (download / "Images").rmdir()
    prepare(download)
    assert len(list((download / "Images").iterdir())) == 5


def test_images_that_are_there_are_not_unpacked_again(download):
    zip_images(download, "CrowdHuman_val.zip", "*val.jpg")
    prepare(download)
    before = snapshot(download / "Images")
    (download / "CrowdHuman_val.zip").write_bytes(b"no archive any more")
    prepare(download)
    assert snapshot(download / "Images") == before


def test_a_damaged_archive_is_named_and_leaves_no_half_image(download):
    zip_images(download, "CrowdHuman_val.zip", "*val.jpg")
    archive = download / "CrowdHuman_val.zip"
    content = bytearray(archive.read_bytes())
    content[len(content) // 4] ^= 255  # within the first image: its checksum no longer holds
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"CrowdHuman_val\.zip: cannot be unpacked .*download it again"):
        prepare(download)
    assert list((download / "Images").glob("*val*")) == []


def test_images_that_are_missing_or_no_images_are_reported_and_nothing_is_written(download):
    first, second, _ = sorted(path.name for path in (download / "Images").glob("*train.jpg"))
    (download / f"Images/{first}").unlink()
    (download / f"Images/{second}").write_bytes(b"no image")
    reports = prepare(download)
    assert [(problem.kind, problem.where) for problem in reports["train"].problems] == [
        ("missing image", first),
        ("unreadable image", second),
    ]
    assert reports["val"].problems == []
    assert not (download / "annotations").exists()
    assert list(download.glob("*.json")) == []


def test_a_split_may_be_prepared_alone(download):
    for path in (download / "Images").glob("*train*"):
        path.unlink()
    assert list(prepare(download, splits=["val"])) == ["val"]
    assert [path.name for path in (download / "annotations").iterdir()] == ["val.json"]


def test_images_turned_by_exif_have_the_size_that_training_sees(tmp_path):
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees
    Image.new("RGB", (40, 30)).save(tmp_path / "images/1.jpg", exif=exif)
    write_odgt(tmp_path / "annotation_val.odgt", [{"ID": "1", "gtboxes": [person([1, 1, 9, 9])]}])
    prepare(tmp_path)
    image = json.loads((tmp_path / "annotations/val.json").read_text())["images"][0]
    assert (image["width"], image["height"]) == (30, 40)


def test_what_is_no_download_is_refused(tmp_path):
    with pytest.raises(DataError, match="gone: no such folder"):
        prepare(tmp_path / "gone")
    with pytest.raises(DataError, match=r"neither annotation_train\.odgt nor annotation_val\.odgt is there"):
        prepare(tmp_path)
    with pytest.raises(DataError, match=r"annotation_train\.odgt: no such annotation file"):
        prepare(tmp_path, splits=["train"])


def test_without_its_odgt_file_the_dataset_says_what_is_wanted(download):
    prepare(download)
    path = download / "annotations/val.json"
    (download / "annotation_val.odgt").unlink()
    with pytest.raises(DataError, match=r"annotation_val\.odgt: no such file, and CrowdHuman's metrics"):
        official_records(load_annotations(path), path)


def test_a_part_of_the_images_has_their_records_and_an_image_without_one_is_refused(download):
    prepare(download)
    path, odgt = download / "annotations/train.json", download / "annotation_train.odgt"
    content, (first, *others) = load_annotations(path), load_odgt(odgt)
    part = {**content, "images": content["images"][:0:-1]}
    assert official_records(part, path) == others[::-1]
    write_odgt(odgt, others)
    assert official_records(part, path) == others[::-1]
    with pytest.raises(DataError, match=rf"lacks 1 of the 3 images of .*train\.json \(first: {first['ID']}"):
        official_records(content, path)
