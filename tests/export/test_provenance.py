import json
import logging
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import ConfigDict

from rgacli.export import provenance
from rgacli.export.exported_head import ExportedHead
from rgacli.export.provenance import export_provenance
from tests.support import tiny

HEAD = ExportedHead("1to9", "1:9", 1, parallel=True)
METRICS = {"1to1": {"AP": 0.1}, "1to9": {"AP": 0.2, "APl": math.nan}, "ensemble": {"AP": 0.3}}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """As much of a SplitDetections as is asked for; it has been measured."""
    (tmp_path / "ann.json").touch()
    monkeypatch.setattr(provenance, "saved_metrics", lambda trained, ann_file, folder: (METRICS, 200))
    return SimpleNamespace(
        cfg=tiny.tiny_config(ratios=["1:1", "1:9"]),
        trained=None,
        dataset=ConfigDict(data_root=str(tmp_path), ann_file="ann.json"),
        name="base",
        checkpoint=Path("runs/base/checkpoints/epoch_3.pth"),
        split="test",
        folder=Path("runs/base/detections/test"),
    )


def test_it_tells_the_run_its_method_and_what_the_head_was_worth(source, tmp_path):
    found = export_provenance(source, HEAD)
    assert (found["run"], found["checkpoint"], found["exported"]) == ("base", "epoch_3.pth", "1:9")
    assert (found["ratios"], found["lambda0"]) == (["1:1", "1:9"], 7.0)
    assert (found["metrics"], found["measured_on"]) == ({"AP": 0.2}, f"{tmp_path}/ann.json")
    assert found["max_dets"] == 200
    assert json.loads(json.dumps(found)) == found


def test_a_run_without_rga_has_lambda_1(source):
    source.cfg.custom_hooks = []
    assert export_provenance(source, HEAD)["lambda0"] == 1.0


def test_without_annotations_there_are_no_metrics_and_it_says_so(source, tmp_path, caplog):
    caplog.set_level(logging.INFO, "rgacli")
    (tmp_path / "ann.json").unlink()
    found = export_provenance(source, HEAD)
    assert (found["metrics"], found["measured_on"], found["max_dets"]) == ({}, None, None)
    assert caplog.messages == [
        "base: without metrics, as there are none on the test split (rgacli.evaluate makes them)"
    ]


def test_an_export_of_an_export_tells_of_the_run(source):
    source.cfg.provenance = {"run": "first", "metrics": {"AP": 0.5}}
    found = export_provenance(source, HEAD)
    assert found == {"run": "first", "metrics": {"AP": 0.5}}
    assert (type(found), type(found["metrics"])) == (dict, dict)
