import os

import pytest

from rgacli.evaluation.detect import saved_metrics
from rgacli.trained import Trained


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'{"metrics": 3}', b"{}", b"\xff", b"[" * 100_000, None])
def test_a_garbled_note_of_what_detections_were_made_from_is_none(tmp_path, content):
    """None is a FIFO, at which reading would wait."""
    (tmp_path / "model.pth").touch()
    (tmp_path / "truth.json").touch()
    if content is None:
        os.mkfifo(tmp_path / "source.json")
    else:
        (tmp_path / "source.json").write_bytes(content)
    trained = Trained("mine", tmp_path / "model.pth", tmp_path, None)
    assert saved_metrics(trained, str(tmp_path / "truth.json"), tmp_path) == ({}, None)
