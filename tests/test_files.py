import errno
import json
import os
import stat
import threading

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from rgacli.data.cache import kept
from rgacli.files import (
    naming,
    replacing,
    replacing_files_in,
    replacing_folder,
    require_writable,
    write_json,
    write_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_json_is_read_back_as_it_was_written(tmp_path, value):
    write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text(encoding="utf-8")) == value


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "a/b/c.txt", "λ")
    assert (tmp_path / "a/b/c.txt").read_bytes() == "λ".encode()


def test_the_temporary_file_lies_beside_the_target_and_has_its_suffix(tmp_path):
    with replacing(tmp_path / "figure.png") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        assert temporary.name != "figure.png"


def test_a_link_stays_one(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far/target")
    for text in ("old", "new"):
        write_text(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far/target").read_text() == text


def test_a_link_to_itself_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(FileExistsError, match="leads to itself"):
        write_text(tmp_path / "link", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(tmp_path, make):
    path = tmp_path / "x"
    make(path)
    kind = stat.S_IFMT(path.stat().st_mode)
    with pytest.raises(FileExistsError, match="it is no file"):
        write_text(path, "new")
    assert stat.S_IFMT(path.stat().st_mode) == kind
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_replaced_together_or_not_at_all(tmp_path):
    folder = tmp_path / "new/folder"

    def write(content, error=None):
        with replacing_files_in(folder) as temporary:
            (temporary / "a.txt").write_text(content)
            (temporary / "b.txt").write_text(content)
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        write("half", KeyboardInterrupt)
    assert not list(tmp_path.iterdir())
    write("old")
    (folder / "other.txt").write_text("kept")
    with pytest.raises(ZeroDivisionError):
        write("half", ZeroDivisionError)
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"a.txt": "old", "b.txt": "old", "other.txt": "kept"}
    write("new")
    assert (folder / "a.txt").read_text() == (folder / "b.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_failed_rename_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_have_the_rights_that_the_umask_grants(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "x.txt", "")
        assert os.umask(mask) == mask  # left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == 0o666 & ~mask


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "a" * 100_000)
    done = threading.Event()

    def write():
        for letter in "bcdefgh" * 10:
            write_text(path, letter * 100_000)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1
    writer.join()


WRITERS = {"a file": replacing, "files of a folder": replacing_files_in, "a folder": replacing_folder}


def fill(path):
    """Writes until the disk is full, in Python's way: the error names nothing, or the file that stands for another."""
    with path.open("w") as file:
        file.write("x")
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize("what", [*WRITERS, "a kept folder"])
@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_names_what_was_to_be_written_and_leaves_nothing(tmp_path, what, named):
    def make(temporary):
        if what == "a kept folder":
            temporary.mkdir()
        if named:
            fill(temporary / "inside" if temporary.is_dir() else temporary)
        raise OSError(errno.ENOSPC, "No space left on device")

    def write(path):
        with WRITERS[what](path) as temporary:
            make(temporary)

    target = tmp_path / "target.d"
    with pytest.raises(OSError, match="No space left") as caught:
        kept(target, make) if what == "a kept folder" else write(target)
    assert caught.value.filename == str(target)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_finds_no_room_names_the_copy(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, naming(tmp_path / "all", tmp_path / ".x"):
        raise OSError(errno.ENOSPC, "No space left on device", "original", None, "copy")  # as of shutil.copyfile
    assert (caught.value.filename, caught.value.filename2) == ("copy", None)
    assert str(caught.value) == "[Errno 28] No space left on device: 'copy'"  # and no second name, "-> None"


@pytest.mark.parametrize("name", ["a" * 251 + ".jpg", "名" * 83 + ".jpg"])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with replacing_folder(tmp_path / name[:83]) as temporary:
        (temporary / "a").touch()


def test_whether_a_file_can_be_written_is_told_before(tmp_path):
    require_writable(tmp_path / "new/record.json")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(FileExistsError):
        require_writable(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="record") as caught:
        require_writable(tmp_path / "file/record.json")
    assert caught.value.filename == str(tmp_path / "file/record.json")


def test_what_torch_tells_of_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, naming(tmp_path / "a.pth"):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1088 vs 982")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.pth"))
    with pytest.raises(RuntimeError, match="another"), naming(tmp_path / "a.pth"):
        raise RuntimeError("another")


def test_a_folder_that_may_not_be_written_to_names_the_file(tmp_path, monkeypatch):
    def refuse(dir, prefix, suffix):
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}x{suffix}")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(PermissionError) as caught:
        write_text(tmp_path / "a.txt", "new")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_a_folder_that_another_filled_meanwhile_is_in_the_way(tmp_path):
    def write(path):
        with replacing_folder(path) as temporary:
            (temporary / "mine").touch()
            write_text(path / "theirs", "new")

    with pytest.raises(FileExistsError, match="it is not empty") as caught:
        write(tmp_path / "new")
    assert caught.value.filename == str(tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "theirs"]
