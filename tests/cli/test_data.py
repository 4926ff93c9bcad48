import json

import pytest

from rgacli.cli.data import SHOWN
from rgacli.data import synthetic
from tests.cli.commands import error_line, invoke
from tests.data.coco_files import content, write_split
from tests.data.crowdhuman_files import write_crowdhuman
from tests.data.test_yolo import yolo as write_yolo


def run(*arguments):
    return invoke("data", *arguments)


def test_synth_draws_by_its_options(tmp_path):
    made = run("synth", tmp_path / "new", "--train", 3, "--val", 2, "--test", 0, "--size", "64x48", "--max-objects", 3)
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr.endswith(f"{tmp_path}/new: 3 train, 2 val, 0 test images of 64x48\n")
    expected = tmp_path / "expected"
    synthetic.write_dataset(expected, sizes={"train": 3, "val": 2}, image_size=(64, 48), max_objects=3)
    written = [path.relative_to(expected) for path in expected.rglob("*") if path.is_file()]
    assert len(written) == 7
    assert all((tmp_path / "new" / path).read_bytes() == (expected / path).read_bytes() for path in written)


def test_synth_leaves_a_folder_with_something_in_it_alone(tmp_path):
    (tmp_path / "mine").touch()
    result = run("synth", tmp_path)
    assert result.exit_code == 2
    assert "is there already and is not an empty folder" in error_line(result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("option", ["--train", "--seed", "--max-objects"])
def test_synth_refuses_negative_numbers(tmp_path, option):
    assert run("synth", tmp_path / "new", option, -1).exit_code == 2


def test_check_prints_counts_and_a_histogram(tmp_path):
    write_split(tmp_path, value=content(images=2))
    result = run("check", tmp_path)
    assert result.exit_code == 0
    for word in ("train", "1-3", "8+", "cat", "dog"):
        assert word in result.stdout
    assert "errors: 0, warnings: 0: training on it would run" in result.stderr


def test_check_groups_problems_and_shows_the_first_of_many(tmp_path):
    value = content(images=SHOWN + 5)
    write_split(tmp_path, value=value)
    for image in value["images"]:
        (tmp_path / "images" / image["file_name"]).unlink()
    result = run("check", tmp_path)
    assert result.exit_code == 2
    assert f"error: train: missing image ({SHOWN + 5})" in result.stdout
    assert result.stdout.count("not in ") == SHOWN
    assert "and 5 more" in result.stdout
    assert f"errors: {SHOWN + 5}, warnings: 0: training on it would fail or learn what is wrong" in result.stderr


def test_check_json_is_json_alone_and_has_every_problem(tmp_path):
    path = write_split(tmp_path, value=content(images=SHOWN + 5))
    path.write_text(json.dumps(content(images=SHOWN + 5, box=(0, 0, float("nan"), 5))))
    result = run("check", tmp_path, "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert (found["dataset"], found["ok"]) == (str(tmp_path), False)
    train = found["splits"]["train"]
    assert list(train) == [
        *("annotation_file", "image_folder", "images", "objects", "gt_counts", "categories", "problems", "densest"),
    ]
    assert (train["annotation_file"], train["image_folder"]) == (str(path), str(tmp_path / "images"))
    boxes = [problem for problem in train["problems"] if problem["kind"] == "malformed entry"]
    assert len(boxes) == SHOWN + 5
    assert set(boxes[0]) == {"severity", "kind", "where", "what"}


def test_warnings_alone_do_not_fail_the_check(tmp_path):
    write_split(tmp_path, value=content(images=2, box=(35, 0, 10, 5)))
    result = run("check", tmp_path)
    assert result.exit_code == 0
    assert "warning: train: box partly outside the image (2)" in result.stdout


def test_check_can_be_told_the_split_and_its_files(tmp_path):
    write_split(tmp_path, "annotations/train.json", value=content(box=(99, 0, 5, 5)))
    write_split(tmp_path, "labels/mine.json", "pictures")
    files = ("--val-ann", "labels/mine.json", "--val-images", "pictures")
    assert run("check", tmp_path, *files).exit_code == 2
    result = run("check", tmp_path, "--split", "val", "--json", *files)
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)["splits"]) == ["val"]
    line = error_line(run("check", tmp_path, "--split", "train", *files).stderr)
    assert "files of val are named, which --split leaves out: add --split val" in line


def test_check_names_the_layout(folder, cache):
    write_yolo(folder / "set")
    result = run("check", "set")
    assert result.exit_code == 0, result.stderr
    assert "set (YOLO): images by number of objects" in result.stdout
    assert f"{folder}/set (YOLO): its annotations are converted to COCO's in {cache}" in " ".join(result.stderr.split())
    assert json.loads(run("check", "set", "--json").stdout)["layout"] == "YOLO"


def test_check_divides_what_is_not_divided(folder, cache):
    write_split(folder / "set", "annotations.json", value=content(images=10))
    line = error_line(run("check", "set").stderr)
    assert "give --split-by 80:10:10 to `rgacli train`, `rgacli data check` or `rgacli analyze dataset`" in line
    assert "write it divided by `rgacli data convert`" in line
    found = json.loads(run("check", "set", "--split-by", "80:20", "--json").stdout)["splits"]
    assert {name: split["images"] for name, split in found.items()} == {"train": 8, "val": 2}
    assert "--split-by 80: give the shares" in error_line(run("check", "set", "--split-by", "80").stderr)


def test_where_nothing_is_recognised_what_was_looked_for_is_listed(folder):
    line = error_line(run("check", ".").stderr)
    for word in ("instances_{train,val,test}<year>.json", "_annotations.coco.json", "data.yaml", "Annotations/*.xml"):
        assert word in line
    assert "take others by --train-ann" in line


def test_convert_prints_what_was_written(folder, cache):
    write_yolo(folder / "set")
    result = run("convert", "set", "new", "--images", "link")
    assert result.exit_code == 0, result.stderr
    assert "set (YOLO), written to" in result.stdout
    assert (folder / "new/annotations/train.json").is_file()
    assert (folder / "new/images/train/a.jpg").is_symlink()
    assert "not an empty folder" in error_line(run("convert", "set", "new").stderr)
    found = json.loads(run("convert", "new", "back", "--to", "yolo", "--json").stdout)
    assert (found["dataset"], found["layout"], found["masks"]) == (str(folder / "back"), "COCO", None)
    assert found["splits"]["train"] == {"images": 2, "objects": 1, "crowds_left_out": 0}
    assert (folder / "back/labels/train/a.txt").read_text() == "1 0.5 0.5 0.25 0.5\n"


def test_convert_says_where_boxes_stand_for_masks(folder):
    value = content(images=2)
    value["annotations"][0]["segmentation"] = [[4, 4, 14, 4, 14, 14]]
    write_split(folder / "set", value=value)
    assert "masks: boxes were written in their place" in run("convert", "set", "new", "--to", "yolo").stderr


def test_crowdhumans_problems_stand_one_in_a_line(folder):
    write_crowdhuman(folder / "CrowdHuman", {"val": 2})
    next((folder / "CrowdHuman/Images").glob("00,*")).unlink()
    result = run("crowdhuman", "CrowdHuman")
    assert result.exit_code == 2
    assert "error: val: missing image (1)\n  00,val.jpg: not in " in result.stdout
    assert "errors: 1; nothing was written" in result.stderr


def test_crowdhumans_persons_and_what_is_ignored_are_counted(folder):
    write_crowdhuman(folder / "CrowdHuman", {"train": 1, "val": 2})
    result = run("crowdhuman", "CrowdHuman", "--split", "val")
    assert result.exit_code == 0, result.stderr
    content = json.loads((folder / "CrowdHuman/annotations/val.json").read_text())
    (row,) = (line.split("│")[1:-1] for line in result.stdout.splitlines() if line.startswith("│"))
    persons = len(content["annotations"]) - 4
    assert [cell.strip() for cell in row] == ["val", "2", str(persons), "4", f"{persons / 2:.3f}"]
    assert f"wrote {folder}/CrowdHuman/annotations/val.json" in result.stderr
    found = json.loads(run("crowdhuman", "CrowdHuman", "--split", "val", "--json").stdout)
    assert (found["dataset"], found["ok"]) == ("CrowdHuman", True)
    assert found["splits"]["val"] == {
        "annotation_file": f"{folder}/CrowdHuman/annotations/val.json",
        "image_folder": f"{folder}/CrowdHuman/Images",
        "images": 2,
        "persons": persons,
        "ignored": 4,
        "problems": [],
    }


def test_what_is_no_crowdhuman_costs_one_line(folder):
    result = run("crowdhuman", ".", "--split", "test")
    assert result.exit_code == 2
    assert "--split test: it can be train or val" in error_line(result.stderr)
    assert list(folder.iterdir()) == []
