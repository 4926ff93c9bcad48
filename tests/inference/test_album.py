from pathlib import Path

import cv2
import numpy as np
import pytest

from rgacli.errors import UsageError
from rgacli.inference.album import Album
from rgacli.inference.media import open_video


def picture(value):
    return np.full((16, 32, 3), value, np.uint8)


def test_pictures_keep_their_names_formats_and_places(tmp_path):
    names = {"in/a.png": "a.png", "in/deep/a.JPG": "deep/a.JPG", "in/a.gif": "a.gif.png", "in/b": "b.png"}
    with Album(tmp_path, [Path(name) for name in names]) as album:
        for value, name in enumerate(names):
            album.add(Path(name), picture(value * 50))
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == set(names.values())
    for value, name in enumerate(names.values()):
        assert cv2.imread(str(tmp_path / name)).mean() == pytest.approx(value * 50, abs=2)


def test_each_video_has_its_own_frames(tmp_path):
    clips = [Path("in/a.mp4"), Path("in/b.mov")]
    with Album(tmp_path, [*clips, Path("in/c.jpg")]) as album:
        for source, values in zip(clips, ((0, 50), (100, 150, 200)), strict=True):
            for value in values:
                album.add(source, picture(value), fps=10)
        album.add(Path("in/c.jpg"), picture(0))
    for name, values in (("a.mp4", [0, 50]), ("b.mov.mp4", [100, 150, 200])):
        assert [frame.mean() for frame in open_video(tmp_path / name)] == pytest.approx(values, abs=6)


def test_a_source_that_leads_to_itself_is_none_of_the_others(tmp_path):
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    with Album(tmp_path / "out", [tmp_path / "a.jpg", tmp_path / "b.jpg"]) as album:
        album.add(tmp_path / "b.jpg", picture(50))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.jpg"]


def test_a_video_that_is_broken_off_is_not_kept(tmp_path):
    with pytest.raises(ZeroDivisionError), Album(tmp_path, [Path("in/a.mp4")]) as album:  # noqa: PT012
        album.add(Path("in/a.mp4"), picture(0), fps=10)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "names"), [("in", ["in/a.png"]), ("in", ["in/x/../a.png"]), ("out", ["in/a", "in/a.png"])]
)
def test_nothing_is_overwritten(tmp_path, monkeypatch, folder, names):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"would overwrite (in|out)/a\.png"):
        Album(Path(folder), [Path(name) for name in names])
