import io
import zipfile

import pytest

from rgacli.checksums import spoilt_member

PARTS = {"weights/0": b"\x00\x01" * 500, "weights/1": b"\x02" * 300}


def archive(**parts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in (parts or PARTS).items():
            made.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def spoilt_in(tmp_path):
    """A function that tells what is spoilt in such bytes, in a file."""
    path = tmp_path / "file"

    def told(content):
        path.write_bytes(content)
        return spoilt_member(path)

    return told


def test_what_is_as_it_was_written_is_not_spoilt(spoilt_in):
    assert spoilt_in(archive()) is None


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("bit", range(8))
def test_each_flipped_bit_is_told_with_its_part(spoilt_in, name, bit):
    content = bytearray(archive())
    content[content.index(PARTS[name]) + 100] ^= 1 << bit
    assert spoilt_in(content) == name


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip file", b"\x80\x02}q\x00."])
def test_a_file_of_another_kind_has_no_checksums(spoilt_in, content):
    assert spoilt_in(content) is None


def test_a_file_that_is_cut_off_is_no_zip_file(spoilt_in):
    whole = archive()
    for length in range(4, len(whole), 97):
        with pytest.raises(zipfile.BadZipFile):
            spoilt_in(whole[:length])


def test_a_part_that_is_said_to_be_a_folder_has_been_turned_into_one(spoilt_in):
    content = bytearray(archive())
    entry = content.index(b"PK\x01\x02")
    content[entry + 38] |= 0x10  # its external attributes
    assert spoilt_in(content) == "weights/0"
