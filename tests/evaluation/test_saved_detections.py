import copy
import json
import os
from dataclasses import replace

import pytest

from rgacli.config.limits import set_limits
from rgacli.evaluation import detect
from rgacli.evaluation.detect import saved_metrics
from rgacli.trained import Trained
from tests.support import tiny


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


@pytest.mark.parametrize("max_dets", [None, 100, 300])
def test_metrics_are_found_whatever_the_limits_were_raised_to(tmp_path, max_dets):
    (tmp_path / "model.pth").touch()
    (tmp_path / "truth.json").touch()
    trained = Trained("mine", tmp_path / "model.pth", tmp_path, tiny.tiny_config(ratios=["1:1", "1:9"]))
    limited = replace(trained, cfg=copy.deepcopy(trained.cfg))
    raised = set_limits(limited.cfg, max_dets or 100)
    assert bool(raised) == (max_dets == 300)
    source = detect._source([limited], str(tmp_path / "truth.json"))
    metrics = {"ensemble": {"AP": 0.5}}
    (tmp_path / "source.json").write_text(json.dumps({**source, "metrics": metrics, "max_dets": max_dets}))
    assert saved_metrics(trained, str(tmp_path / "truth.json"), tmp_path) == (metrics, max_dets)
    other = replace(trained, checkpoint=tmp_path / "truth.json")
    assert saved_metrics(other, str(tmp_path / "truth.json"), tmp_path) == ({}, None)
