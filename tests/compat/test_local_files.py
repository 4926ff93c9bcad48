import os

import mmcv
import pytest
from mmengine import fileio

import rgacli.compat  # noqa: F401


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_has_no_end_is_not_read(tmp_path, make):
    path = tmp_path / "a.jpg"
    make(path)
    for read in (fileio.get, mmcv.imread):
        with pytest.raises(OSError, match=r"failed to load image: .*a\.jpg is a FIFO, a socket or a device"):
            read(path)


def test_files_are_read_and_what_is_none_is_refused_as_ever(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"content")
    assert fileio.get(tmp_path / "a.txt") == fileio.get(str(tmp_path / "a.txt")) == b"content"
    with pytest.raises(FileNotFoundError):
        fileio.get(tmp_path / "b.txt")
    with pytest.raises(IsADirectoryError):
        fileio.get(tmp_path)
