import logging

import cv2
import numpy as np
import pytest

from rgacli.inference.frames import Frames
from rgacli.inference.media import video_writer, write_image
from tests.support.inferring import BrightnessDetector


@pytest.fixture
def detector():
    return BrightnessDetector()


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "rgacli")
    return lambda: [record.getMessage() for record in caplog.records]


def grey(value, height=48, width=64):
    return np.full((height, width, 3), value, np.uint8)


def test_images_and_videos_are_one_after_the_other(detector, tmp_path, told):
    write_image(tmp_path / "a.png", grey(10))
    with video_writer(tmp_path / "b.mp4", fps=8) as write:
        for value in (0, 100, 200):
            write(grey(value))
    write_image(tmp_path / "c.png", grey(20, 32, 128))
    frames = list(Frames([tmp_path / name for name in ("a.png", "b.mp4", "c.png")], detector))
    assert [(frame.path.name, frame.number, frame.fps) for frame in frames] == [
        ("a.png", None, None),
        *(("b.mp4", number, 8) for number in range(3)),
        ("c.png", None, None),
    ]
    assert [frame.pixels.mean() for frame in frames] == pytest.approx([10, 0, 100, 200, 20], abs=6)
    assert [frame.prepared["inputs"].shape for frame in frames] == [(3, 48, 64)] * 4 + [(3, 16, 64)]
    assert told() == []


def test_what_cannot_be_read_is_skipped_and_told_of(detector, tmp_path, told):
    paths = [tmp_path / name for name in ("a.jpg", "broken.jpg", "clip.mp4", "good.png")]
    paths[0].write_bytes(b"no image")
    paths[1].symlink_to("gone.jpg")
    paths[2].write_bytes(b"no video")
    write_image(paths[3], grey(10))
    frames = Frames(paths, detector)
    assert [frame.path.name for frame in frames] == ["good.png"]
    assert [path.name for path in frames.skipped] == ["a.jpg", "broken.jpg", "clip.mp4"]
    for line, (name, reason) in zip(
        told(),
        [
            ("a.jpg", "not an image, or a damaged one."),
            ("broken.jpg", "cannot be read"),
            ("clip.mp4", "not a video that OpenCV can read"),
        ],
        strict=True,
    ):
        assert line.startswith(f"skipped {tmp_path / name}: {reason}")


def test_a_video_that_is_cut_off_is_told_of(detector, tmp_path, told):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for _ in range(8):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = Frames([path], detector)
    count = len(list(frames))
    assert 0 < count < 8
    assert frames.skipped == []
    assert told() == [f"{path} ends after {count} frames, of 8 that it is said to have"]
