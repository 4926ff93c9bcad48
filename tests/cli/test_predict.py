import json
import shutil
from pathlib import Path

import cv2
import pytest

from rgacli.inference.media import open_video, video_writer
from tests.cli.commands import error_line, invoke, snapshot


@pytest.fixture
def images(finding, dataset):
    """The folder of the test split's images, beside a run that finds something on them."""
    return Path(shutil.copytree(dataset / "images/test", "photos"))


def test_the_results_go_into_the_run_and_are_told_of(images, run):
    result = invoke("predict", "photos", "--score", 0)
    assert result.exit_code == 0, result.stderr
    (out,) = (run / "predictions").iterdir()
    assert len(list(out.glob("*.jpg"))) == 4
    assert f"pictures and predictions.json in {Path(*out.parts[-4:])}" in result.stderr
    assert "predicting  4/4" in result.stderr
    assert "objects found on 4 images, score at least 0" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_table_has_a_column_per_head_and_the_sums_of_predictions_json(images):
    result = invoke("predict", "photos", "--score", 0, "--head", "all", "--out", "out", "--batch-size", 3)
    assert result.exit_code == 0, result.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert "class" in result.stdout
    for column, slug in enumerate(("1to1", "1to9", "ensemble"), start=1):
        written = json.loads(Path(f"out/{slug}/predictions.json").read_text())
        names = {category["id"]: category["name"] for category in written["categories"]}
        for name, *_ in rows:
            count = sum(names[entry["category_id"]] == name for entry in written["annotations"])
            assert [int(row[column]) for row in rows if row[0] == name] == [count]
        assert len(written["annotations"]) == sum(int(row[column]) for row in rows) > 0


def test_a_video_becomes_one_of_panels(images):
    with video_writer(Path("clip.mp4"), fps=8) as write:
        for path in sorted(images.iterdir()):
            write(cv2.imread(str(path)))
    result = invoke("predict", "clip.mp4", "photos", "--out", "out", "--side-by-side", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["images"] == 8
    video = open_video(Path("out/clip.mp4"))
    assert (video.fps, len(list(video)), video.width > 3 * 640) == (8, 4, True)


@pytest.mark.parametrize("json_wanted", [True, False])
def test_what_cannot_be_read_is_named_and_told_by_the_exit_code_after_the_result(images, json_wanted):
    first = sorted(images.iterdir())[0]
    first.write_bytes(first.read_bytes()[:100])
    Path("photos/broken.jpg").symlink_to("gone.jpg")
    result = invoke("predict", "photos", "--out", "out", *(["--json"] * json_wanted))
    assert result.exit_code == 1
    assert error_line(result.stderr) == "error: 2 of 5 inputs could not be read and were skipped."
    assert f"skipped {first}: not an image, or a damaged one." in result.stderr
    assert "skipped photos/broken.jpg: cannot be read" in result.stderr
    if json_wanted:
        shown = json.loads(result.stdout)
        assert (shown["images"], shown["skipped"]) == (3, [str(first), "photos/broken.jpg"])
    else:
        assert "objects found on 3 images" in result.stdout
    assert len(list(Path("out").glob("*.jpg"))) == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nothing.jpg",), "nothing could be read of nothing.jpg"),
        (("gone.jpg",), "gone.jpg: no such file or folder"),
        (("photos", "--head", "1:5"), "--head 1:5: this detector has 1:1, 1:9"),
        (("photos", "--out", "photos"), "would overwrite photos/000001.jpg: choose another folder by --out."),
        (("photos", "--checkpoint", "stock.onnx", "--config", "x.py"), "stock.onnx: an ONNX file takes no --config."),
        (("photos", "--run", "runs/base/export/fold", "--side-by-side"), "--side-by-side: fold has a single head"),
    ],
)
def test_mistakes_are_answered_in_one_line_and_leave_nothing(images, arguments, complaint):
    Path("nothing.jpg").write_bytes(b"")
    if "runs/base/export/fold" in arguments:
        assert invoke("export", "fold", "--check", 0).exit_code == 0
    before = snapshot(Path())
    result = invoke("predict", *arguments)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert snapshot(Path()) == before


def test_json_is_all_that_stands_on_stdout(images):
    done = invoke("predict", "photos", "--out", "out", "--head", "1:9", "--json")
    assert done.exit_code == 0, done.stderr
    shown = json.loads(done.stdout)
    assert list(shown)[:6] == ["run", "checkpoint", "out", "images", "skipped", "detections"]
    assert (shown["run"], shown["out"], shown["images"], list(shown["detections"])) == ("base", "out", 4, ["1:9"])
    assert shown["checkpoint"] == "runs/base/checkpoints/epoch_3.pth"
