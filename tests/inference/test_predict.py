import json

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from rgacli.errors import UsageError
from rgacli.inference.media import open_video, video_writer, write_image
from rgacli.inference.predict import predict_files
from tests.support.inferring import BrightnessDetector


@pytest.fixture
def detector():
    return BrightnessDetector()


@pytest.fixture
def photos(tmp_path):
    """Four images of growing brightness: 50/255, 100/255, …"""
    paths = [tmp_path / f"photos/{number}.png" for number in range(1, 5)]
    for number, path in enumerate(paths, start=1):
        write_image(path, np.full((48, 64, 3), 50 * number, np.uint8))
    return paths


def darker(pixels, prediction):
    """A picture that is the image's half."""
    return pixels // 2


def content(predictions, folder):
    """What the file holds: (file, frame) -> its detections."""
    predictions.save(folder / "predictions.json")
    found = json.loads((folder / "predictions.json").read_text())
    names = {image["id"]: (image["file_name"].rpartition("/")[2], image.get("frame")) for image in found["images"]}
    return {name: [e for e in found["annotations"] if e["image_id"] == image] for image, name in names.items()}


def test_every_image_has_a_picture_and_its_detections_by_head(detector, photos, tmp_path):
    drawings = {tmp_path / "out": darker, tmp_path / "whole": lambda pixels, prediction: pixels}
    result = predict_files(detector, photos, ["1:9", "ensemble"], drawings)
    assert (result.images, result.skipped, list(result.heads)) == (4, (), ["1:9", "ensemble"])
    for head, factor in (("1:9", 0.5), ("ensemble", 1)):
        found = content(result.heads[head], tmp_path)
        scores = [entry["score"] for name in sorted(found) for entry in found[name]]
        assert scores == pytest.approx([factor * 50 * number / 255 for number in range(1, 5)])
        assert [entry["category_id"] for name in sorted(found) for entry in found[name]] == [1, 1, 2, 2]
    for number, path in enumerate(photos, start=1):
        assert cv2.imread(str(tmp_path / "out" / path.name)).mean() == 25 * number
        assert cv2.imread(str(tmp_path / "whole" / path.name)).mean() == 50 * number


def test_what_is_below_the_score_is_left_out_of_files_and_pictures(detector, photos, tmp_path):
    seen = []

    def draw(pixels, prediction):
        seen.append({head: len(found) for head, found in prediction.items()})
        return pixels

    result = predict_files(detector, photos, ["ensemble"], {tmp_path / "out": draw}, score=0.5)
    assert result.heads["ensemble"].counts() == {"bright": 2}
    nothing, one = dict.fromkeys(detector.heads, 0), {"1:1": 1, "1:9": 0, "ensemble": 1}
    assert seen == [nothing, nothing, one, one]


@pytest.mark.parametrize(("batch_size", "batches"), [(1, [1] * 4), (3, [3, 1]), (9, [4])])
def test_images_go_through_the_detector_in_batches(detector, photos, tmp_path, batch_size, batches):
    reports = []

    def progress(task, done, total, note=""):
        reports.append((task, done, total))

    predict_files(detector, photos, [], {tmp_path / "out": darker}, batch_size=batch_size, progress=progress)
    assert detector.batches == batches
    assert reports == [("predicting", sum(batches[: number + 1]), 4) for number in range(len(batches))]
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_what_cannot_be_read_is_skipped(detector, photos, tmp_path):
    photos[1].write_bytes(b"no image")
    result = predict_files(detector, photos, ["ensemble"], {tmp_path / "out": darker}, batch_size=2)
    assert (result.images, result.skipped) == (3, (photos[1],))
    assert len(content(result.heads["ensemble"], tmp_path)) == len(list((tmp_path / "out").iterdir())) == 3


def test_a_video_becomes_one(detector, photos, tmp_path):
    clip = tmp_path / "photos/clip.mp4"
    with video_writer(clip, fps=8) as write:
        for path in photos:
            write(cv2.imread(str(path)))
    result = predict_files(detector, [clip, *photos], ["ensemble"], {tmp_path / "out": darker}, batch_size=3)
    assert result.images == 8
    video = open_video(tmp_path / "out/clip.mp4")
    assert (video.fps, len(list(video))) == (8, 4)
    listed = list(content(result.heads["ensemble"], tmp_path))
    assert listed[:5] == [*(("clip.mp4", number) for number in range(4)), ("1.png", None)]


def test_an_image_that_lies_on_its_side_is_turned_for_its_boxes(detector, tmp_path):
    upright = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.rot90(upright)[..., ::-1]).save(tmp_path / "lying.png", exif=exif)
    write_image(tmp_path / "upright.png", upright)
    paths = [tmp_path / "lying.png", tmp_path / "upright.png"]
    result = predict_files(detector, paths, ["ensemble"], {tmp_path / "out": darker})
    lying, standing = content(result.heads["ensemble"], tmp_path).values()
    assert lying[0]["bbox"] == standing[0]["bbox"] == [0, 0, 64, 48]
    pictures = [cv2.imread(str(tmp_path / "out" / path.name)) for path in paths]
    assert np.array_equal(*pictures)
    assert np.array_equal(pictures[0], upright // 2)


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [(dict(score=1.5), "score=1.5: "), (dict(score=-0.1), "score=-0.1: "), (dict(batch_size=0), "batch_size=0: ")],
)
def test_numbers_out_of_range_are_refused(detector, photos, tmp_path, numbers, complaint):
    with pytest.raises(UsageError, match=complaint):
        predict_files(detector, photos, [], {tmp_path / "out": darker}, **numbers)
    assert not (tmp_path / "out").exists()
