from pathlib import Path

from rgacli.api import evaluate as api
from rgacli.evaluation.crowdhuman_metrics import METRICS
from rgacli.evaluation.max_dets import MaxDets
from tests.cli.commands import invoke


def test_evals_table_has_crowdhumans_metrics_in_place_of_cocos(folder, monkeypatch):
    heads = {head: dict.fromkeys(METRICS, 0.5) for head in ("1:1", "ensemble")}
    counted = MaxDets(500, "CrowdHuman", 500, 300, "official")
    result = api.EvalResult("crowd", Path("x.pth"), "test", "val.json", heads, Path("detections"), counted)
    monkeypatch.setattr(api, "evaluate", lambda *_, **__: result)
    table = invoke("eval").stdout
    assert table.startswith("crowd on test: 500 detections an image\n")
    assert [word in table for word in METRICS] == [True] * 3
    assert "APs" not in table
