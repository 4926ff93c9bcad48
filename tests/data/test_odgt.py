import json

import pytest

from rgacli.data.odgt import is_ignored, load_odgt
from rgacli.errors import DataError
from tests.data.crowdhuman_files import person, write_odgt

RECORD = {"ID": "1,a", "gtboxes": [person([1, 2, 3, 4])]}


def with_box(**changes):
    return json.dumps({**RECORD, "gtboxes": [{**RECORD["gtboxes"][0], **changes}]})


def test_records_come_in_the_files_order_and_blank_lines_are_none(tmp_path):
    records = [{"ID": image, "gtboxes": []} for image in ("b", "a", "c")]
    write_odgt(tmp_path / "x.odgt", records)
    (tmp_path / "x.odgt").write_text((tmp_path / "x.odgt").read_text() + "\n\n")
    assert load_odgt(tmp_path / "x.odgt") == records


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (json.dumps(RECORD)[:-9], "not valid JSON; the file may be cut short"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", 'it has no "ID"'),
        ('{"gtboxes": []}', 'it has no "ID"'),
        ('{"ID": "../../etc/x", "gtboxes": []}', "'../../etc/x' is not a plain name"),
        ('{"ID": "", "gtboxes": []}', "'' is not a plain name"),
        ('{"ID": "1"}', '"gtboxes" is not a list of objects'),
        ('{"ID": "1", "gtboxes": [[1, 2, 3, 4]]}', '"gtboxes" is not a list of objects'),
        (with_box(tag=None), 'gtboxes[0]: no "tag"'),
        (with_box(extra=1), 'gtboxes[0]: "extra" is not an object'),
        (with_box(fbox=[1, 2, 3]), 'gtboxes[0]: "fbox" is not four finite numbers'),
        (with_box(fbox=[1, 2, 3, float("nan")]), 'gtboxes[0]: "fbox" is not four finite numbers'),
        (with_box(hbox=None), 'gtboxes[0]: "hbox" is not four finite numbers'),
        (json.dumps({**RECORD, "ID": "0"}), "a second line of image 0"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, words):
    path = tmp_path / "annotation_train.odgt"
    path.write_text('{"ID": "0", "gtboxes": []}\n' + line + "\n")
    with pytest.raises(DataError) as caught:
        load_odgt(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [(b"", "holds no images"), (b"\xff\xfe\x00", "not text")])
def test_what_holds_no_lines_is_refused(tmp_path, content, words):
    (tmp_path / "x.odgt").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_odgt(tmp_path / "x.odgt")


@pytest.mark.parametrize(
    ("changes", "ignored"),
    [
        ({}, False),
        ({"extra": {}}, False),
        ({"extra": {"ignore": 0}}, False),
        ({"extra": {"ignore": 1}}, True),
        ({"tag": "mask"}, True),
        ({"tag": "mask", "extra": {"ignore": 0}}, True),
    ],
)
def test_masks_and_what_says_so_are_ignored(changes, ignored):
    assert is_ignored({**RECORD["gtboxes"][0], **changes}) is ignored
    assert is_ignored({"tag": "person", "fbox": [0, 0, 1, 1]}) is False
