import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

import rgacli
from rgacli.inference.media import open_video, video_writer
from tests.cli.commands import call, error_line, invoke, snapshot

HEADS = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}


@pytest.fixture
def images(finding, dataset):
    """The folder of the test split's images, beside a run that finds something on them."""
    return Path(shutil.copytree(dataset / "images/test", "photos"))


def predicted(*arguments):
    """What predict prints as JSON."""
    result = invoke("predict", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def content(path):
    """predictions.json, its detections by image."""
    found = json.loads(Path(path, "predictions.json").read_text())
    return {
        Path(image["file_name"]).name: [
            {**entry, "image": image} for entry in found["annotations"] if entry["image_id"] == image["id"]
        ]
        for image in found["images"]
    }


def test_what_is_written_is_what_evaluation_saves(images, run, dataset):
    assert invoke("eval", "--head", "all").exit_code == 0
    predicted("photos", "--head", "all", "--score", 0, "--out", "out")
    annotations = json.loads((dataset / "annotations/test.json").read_text())
    ids = {image["id"]: Path(image["file_name"]).name for image in annotations["images"]}
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    for slug in HEADS:
        saved = json.loads((run / f"detections/test/{slug}.json").read_text())
        found = content(f"out/{slug}")
        own = json.loads(Path(f"out/{slug}/predictions.json").read_text())["categories"]
        assert len(saved) == sum(map(len, found.values())) > 0
        for image_id, name in ids.items():
            expected = [entry for entry in saved if entry["image_id"] == image_id]
            assert [own[e["category_id"] - 1]["name"] for e in found[name]] == [
                names[e["category_id"]] for e in expected
            ]
            for key in ("bbox", "score"):
                np.testing.assert_allclose([e[key] for e in found[name]], [e[key] for e in expected], atol=1e-3)


def test_what_is_written_is_what_the_python_interface_finds(images):
    detector = rgacli.load("base", device="cpu")
    found = {path.name: detector(path)["ensemble"] for path in images.iterdir()}
    middle = float(np.median(np.concatenate([detections.scores for detections in found.values()])))
    predicted("photos", "--out", "out", "--score", middle)
    written = content("out")
    assert sum(map(len, written.values())) > 0
    for name, detections in found.items():
        expected = detections.above(middle)
        boxes = expected.boxes.astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        assert [entry["score"] for entry in written[name]] == pytest.approx(expected.scores.tolist(), abs=1e-6)
        assert [entry["category_id"] - 1 for entry in written[name]] == expected.labels.tolist()
        np.testing.assert_allclose(np.reshape([e["bbox"] for e in written[name]], (-1, 4)), boxes, atol=1e-3)


def test_pictures_keep_their_names_and_what_is_below_the_score_is_left_out(images):
    shown = predicted("photos", "--out", "all", "--score", 0)
    none = predicted("photos/*.jpg", "--out", "none", "--score", 1, "--batch-size", 3)
    assert (shown["run"], shown["images"], shown["skipped"], none["images"]) == ("base", 4, [], 4)
    assert sum(shown["detections"]["ensemble"].values()) == sum(map(len, content("all").values())) > 0
    assert none["detections"] == {"ensemble": {}}
    assert not any(content("none").values())
    for path in images.iterdir():
        drawn, bare = (cv2.imread(f"{folder}/{path.name}").astype(int) for folder in ("all", "none"))
        assert drawn.shape == bare.shape == (480, 640, 3)  # enlarged tenfold
        assert abs(drawn - bare).mean() > 5
        assert abs(bare[5::10, 5::10] - cv2.imread(str(path))).mean() < 8


def test_the_results_go_into_the_run_and_are_told_of(images, run):
    result = invoke("predict", "photos", "--score", 0)
    assert result.exit_code == 0, result.stderr
    (out,) = (run / "predictions").iterdir()
    assert len(list(out.glob("*.jpg"))) == 4
    assert f"pictures and predictions.json in {Path(*out.parts[-4:])}" in result.stderr
    assert "predicting  4/4" in result.stderr
    assert "objects found on 4 images, score at least 0" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_one_head_is_found_alone(images):
    shown = predicted("photos", "--out", "out", "--score", 0, "--head", "1:9")
    alone, among = content("out"), predicted("photos", "--out", "all", "--score", 0, "--head", "all")
    assert shown["detections"]["1:9"] == among["detections"]["1:9"]
    assert alone == content("all/1to9")
    assert alone != content("all/1to1")
    assert {path.name for path in Path("all").iterdir()} == set(HEADS)
    assert {path.suffix for path in Path("all/1to9").iterdir()} == {".jpg", ".json"}


def test_side_by_side_has_a_panel_per_head_whichever_head_is_written(images):
    shown = predicted("photos", "--out", "out", "--score", 0, "--head", "0", "--side-by-side")
    assert list(shown["detections"]) == ["1:1"]
    for path in images.iterdir():
        height, width, _ = cv2.imread(f"out/{path.name}").shape
        assert height > 480
        assert width > 3 * 640


def test_an_image_that_lies_on_its_side_is_turned_for_its_boxes(images):
    upright = cv2.imread(str(next(images.iterdir())))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Path("turned").mkdir()
    Image.fromarray(np.rot90(upright)[..., ::-1]).save("turned/lying.png", exif=exif)
    cv2.imwrite("turned/upright.png", upright)
    predicted("turned", "--out", "out", "--score", 0)
    lying, standing = content("out")["lying.png"], content("out")["upright.png"]
    assert [entry["bbox"] for entry in lying] == [entry["bbox"] for entry in standing]
    assert lying[0]["image"]["width"] == upright.shape[1]
    assert np.array_equal(cv2.imread("out/lying.png"), cv2.imread("out/upright.png"))


def test_a_video_becomes_one(images):
    pictures = [cv2.imread(str(path)) for path in sorted(images.iterdir())]
    with video_writer(Path("clip.mp4"), fps=8) as write:
        for picture in pictures:
            write(picture)
    shown = predicted("clip.mp4", "photos", "--out", "out", "--score", 0, "--side-by-side")
    assert shown["images"] == 8
    video = open_video(Path("out/clip.mp4"))
    assert (video.fps, len(list(video)), video.width > 3 * 640) == (8, 4, True)
    listed = json.loads(Path("out/predictions.json").read_text())["images"]
    assert [(image["file_name"], image.get("frame")) for image in listed[:5]] == [
        *(("clip.mp4", number) for number in range(4)),
        ("photos/000001.jpg", None),
    ]


def test_a_video_that_is_cut_off_is_told_of(images):
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for _ in range(8):
        writer.write(cv2.imread(str(next(images.iterdir()))))
    writer.release()
    whole = Path("clip.avi").read_bytes()
    Path("clip.avi").write_bytes(whole[: len(whole) // 2])
    result = invoke("predict", "clip.avi", "--out", "out", "--json")
    assert result.exit_code == 0, result.stderr
    count = json.loads(result.stdout)["images"]
    assert 0 < count < 8
    assert f"clip.avi ends after {count} frames, of 8" in result.stderr
    assert len(list(open_video(Path("out/clip.avi.mp4")))) == count


def test_what_cannot_be_read_is_skipped_named_and_told_by_the_exit_code(images):
    first = sorted(images.iterdir())[0]
    first.write_bytes(first.read_bytes()[:100])
    Path("photos/clip.mp4").write_bytes(b"no video")
    cv2.imwrite("photos/thin.png", np.zeros((1, 5000, 3), np.uint8))
    Path("photos/broken.jpg").symlink_to("gone.jpg")
    result = invoke("predict", "photos", "photos/clip.mp4", "--out", "out", "--json")
    assert result.exit_code == 1
    assert "4 of 7 inputs could not be read and were skipped" in error_line(result.stderr)
    assert "skipped photos/thin.png: an image of 5000x1 pixels cannot be resized" in result.stderr
    assert "skipped photos/broken.jpg: cannot be read" in result.stderr
    assert f"skipped {first}: not an image, or a damaged one." in result.stderr
    assert "skipped photos/clip.mp4: not a video that OpenCV can read" in result.stderr
    shown = json.loads(result.stdout)
    assert shown["images"] == 3
    assert shown["skipped"] == [str(first), "photos/broken.jpg", "photos/thin.png", "photos/clip.mp4"]
    assert len(content("out")) == len(list(Path("out").glob("*.jpg"))) == 3


def test_nothing_readable_is_an_error_that_leaves_nothing(images):
    Path("a.jpg").write_bytes(b"")
    before = snapshot(Path())
    result = invoke("predict", "a.jpg", "--out", "out")
    assert result.exit_code == 2
    assert "nothing could be read of a.jpg" in error_line(result.stderr)
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("gone.jpg",), "gone.jpg: no such file or folder"),
        (("photos", "--run", "gone"), "no run 'gone'"),
        (("photos", "--head", "1:5"), "--head 1:5: this detector has 1:1, 1:9"),
        (("photos", "--out", "photos"), "would overwrite photos/000001.jpg"),
        (("photos", "--checkpoint", "gone.pth"), "checkpoint gone.pth does not exist"),
        (("photos", "--run", "runs/base/export/fold", "--side-by-side"), "fold has a single head (detector)"),
    ],
)
def test_mistakes_are_answered_in_one_line(images, arguments, complaint):
    if "runs/base/export/fold" in arguments:
        assert invoke("export", "fold").exit_code == 0
    before = snapshot(Path())
    result = invoke("predict", *arguments)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert snapshot(Path()) == before


def test_an_export_predicts_as_the_ensemble(images):
    assert invoke("export", "fold").exit_code == 0
    predicted("photos", "--run", "runs/base/export/fold", "--out", "folded", "--score", 0)
    predicted("photos", "--run", "base", "--out", "whole", "--score", 0)
    for name, expected in content("whole").items():
        scores = [entry["score"] for entry in content("folded")[name]]
        assert scores == pytest.approx([entry["score"] for entry in expected], abs=1e-4)


def test_json_is_all_that_stands_on_stdout(images):
    done = call("predict", "photos", "--out", "out", "--json", cwd=Path())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 4
