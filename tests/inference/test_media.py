from pathlib import Path

import cv2
import numpy as np
import pytest

from rgacli.errors import DataError, RunFailed, UsageError
from rgacli.inference import media
from tests.support.disks import files_of_at_most


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A working folder of files, all empty."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/2.jpg",
        "a/1.PNG",
        "a/deep/3.tif",
        "a/notes.txt",
        "a/clip.mp4",
        "b/1.jpg",
        "c/notes.txt",
        "odd",
        "a/._2.jpg",
    ):
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).touch()
    Path("links/folder.jpg").mkdir(parents=True)
    Path("links/broken.jpg").symlink_to("gone.jpg")
    Path("links/whole.jpg").symlink_to("../b/1.jpg")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], ["a/1.PNG", "a/2.jpg", "a/deep/3.tif"]),
        (["b/1.jpg", "a/clip.mp4", "odd"], ["b/1.jpg", "a/clip.mp4", "odd"]),
        (["a/*.jpg", "*/1.*"], ["a/2.jpg", "a/1.PNG", "b/1.jpg"]),
        (["**/*.jpg"], ["a/2.jpg", "b/1.jpg", "links/whole.jpg"]),
        (["b", "b/1.jpg", "b/*", "a/../b/1.jpg", "./b"], ["b/1.jpg"]),
        (["links"], ["links/broken.jpg", "links/whole.jpg"]),
        (["b", "links/whole.jpg"], ["b/1.jpg", "links/whole.jpg"]),
    ],
)
def test_names_mean_files(files, names, expected):
    assert [path.as_posix() for path in media.find_media(names)] == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("gone.jpg", "no such file"), ("*.gif", "no such file"), ("c", "no image"), ("", "an empty name")],
)
def test_a_name_that_means_nothing_is_refused(files, name, complaint):
    with pytest.raises(UsageError, match=complaint):
        media.find_media(["b", name])


def frames(count=5):
    """Grey frames of 34x26 px, each a little brighter."""
    return [np.full((26, 34, 3), 40 * number, np.uint8) for number in range(count)]


def test_a_video_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    with media.video_writer(path, fps=12.5) as write:
        for frame in frames():
            write(frame)
        assert not path.exists()  # not before it is whole
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.mp4"]
    video = media.open_video(path)
    assert (media.is_video(path), video.fps, video.frame_cnt, media.count_frames([path, path])) == (True, 12.5, 5, 10)
    read = list(video)
    assert [frame.shape for frame in read] == [(26, 34, 3)] * 5
    assert [frame.mean() for frame in read] == pytest.approx([frame.mean() for frame in frames()], abs=6)


def test_a_video_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), media.video_writer(tmp_path / "clip.mp4", 25) as write:  # noqa: PT012
        write(frames()[0])
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_finds_no_room_is_no_video(tmp_path, capfd):
    def write_all():
        with media.video_writer(tmp_path / "clip.mp4", 25) as write:
            for frame in frames():
                write(frame)

    with pytest.raises(RunFailed, match=r"clip.mp4 could not be written whole"), files_of_at_most(200):
        write_all()
    assert list(tmp_path.iterdir()) == []


def test_where_no_video_can_be_written_its_frames_are(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda writer: False)
    with media.video_writer(tmp_path / "clip.mp4", 25) as write:
        for frame in frames(2):
            write(frame)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "clip/000000.jpg",
        "clip/000001.jpg",
    ]
    assert cv2.imread(str(tmp_path / "clip/000001.jpg")).mean() == pytest.approx(40, abs=2)


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_what_is_no_video_is_refused_and_counts_as_one(tmp_path, content, capfd):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.mp4: not a video"):
        media.open_video(path)
    assert media.count_frames([path]) == 1


@pytest.mark.parametrize("suffix", media.IMAGES)
def test_every_format_that_is_looked_for_is_written(tmp_path, suffix):
    media.write_image(tmp_path / f"a{suffix}", frames()[2])
    assert cv2.imread(str(tmp_path / f"a{suffix}")).mean() == pytest.approx(80, abs=2)


def test_what_a_format_has_no_room_for_is_written_as_png(tmp_path, caplog, capfd):
    wide = np.full((2, 16400, 3), 80, np.uint8)  # WebP ends at 16,383
    with caplog.at_level("INFO", "rgacli"):
        media.write_image(tmp_path / "a.webp", wide)
    assert [path.name for path in tmp_path.iterdir()] == ["a.webp.png"]
    assert cv2.imread(str(tmp_path / "a.webp.png")).shape == wide.shape
    assert caplog.messages == [f"{tmp_path / 'a.webp'} is written as PNG: webp has no room for 16400x2 pixels"]
