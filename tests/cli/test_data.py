import json

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from rgacli.cli.data import SHOWN, app
from rgacli.data import synthetic
from rgacli.errors import UsageError
from tests.data.coco_files import content, write_split


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_synth_writes_what_check_finds_sound(tmp_path):
    made = run("synth", tmp_path / "new", "--train", 3, "--val", 2, "--test", 0, "--size", "64x48", "--max-objects", 3)
    assert made.exit_code == 0, made.output
    checked = run("check", tmp_path / "new", "--json")
    assert checked.exit_code == 0
    splits = json.loads(checked.stdout)["splits"]
    assert {name: split["images"] for name, split in splits.items()} == {"train": 3, "val": 2}


def test_synth_leaves_a_folder_with_something_in_it_alone(tmp_path):
    (tmp_path / "mine").touch()
    result = run("synth", tmp_path)
    assert isinstance(result.exception, UsageError)  # rgacli.cli.app shows it as one line, with exit code 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("size", ["160", "axb", "160x", "-1x5", "16x16"])
def test_synth_refuses_a_size_that_is_none(tmp_path, size):
    assert isinstance(run("synth", tmp_path / "new", "--size", size).exception, UsageError)


@pytest.mark.parametrize("option", ["--train", "--seed", "--max-objects"])
def test_synth_refuses_negative_numbers(tmp_path, option):
    assert run("synth", tmp_path / "new", option, -1).exit_code == 2


def test_check_prints_counts_and_a_histogram(tmp_path):
    write_split(tmp_path, value=content(images=2))
    result = run("check", tmp_path)
    assert result.exit_code == 0
    for word in ("train", "1-3", "8+", "cat", "dog"):
        assert word in result.stdout
    assert "errors: 0, warnings: 0" in result.stderr


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


def test_check_json_is_json_alone_and_has_every_problem(tmp_path):
    path = write_split(tmp_path, value=content(images=SHOWN + 5))
    path.write_text(json.dumps(content(images=SHOWN + 5, box=(0, 0, float("nan"), 5))))
    result = run("check", tmp_path, "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["ok"] is False
    boxes = [problem for problem in found["splits"]["train"]["problems"] if problem["kind"] == "malformed entry"]
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


def test_check_reports_malformed_json_with_the_rest(tmp_path):
    write_split(tmp_path)
    (tmp_path / "annotations/val.json").write_text("{")
    result = run("check", tmp_path, "--json")
    assert result.exit_code == 2
    splits = json.loads(result.stdout)["splits"]
    assert splits["train"]["problems"] == []
    assert splits["val"]["problems"][0]["kind"] == "unusable annotation file"


def test_check_without_a_folder_checks_the_embedded_dataset(tmp_path, monkeypatch):
    write = synthetic.write_dataset
    monkeypatch.setenv("RGACLI_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "write_dataset", lambda root, progress: write(root, sizes={"train": 2}))
    result = run("check")
    assert result.exit_code == 0
    assert f"embedded-v{synthetic.VERSION}" in result.stdout


@pytest.mark.parametrize("command", ["synth", "check"])
def test_every_option_has_its_sentence_of_help(command):
    assert run(command, "--help").exit_code == 0
    for parameter in get_command(app).commands[command].params:
        assert parameter.help, parameter.name
