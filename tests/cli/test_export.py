import json

import pytest
from mmengine.config import Config

from rgacli.core.checkpoints import read_checkpoint
from tests.cli.commands import error_line, invoke


def evaluated(*arguments):
    result = invoke("eval", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["heads"]


@pytest.mark.parametrize(
    ("arguments", "place", "variant"),
    [
        (("fold",), "fold", "ensemble"),
        (("head", "--head", "1:9"), "1to9", "1:9"),
        (("head", "--head", "0"), "1to1", "1:1"),
    ],
)
def test_what_is_exported_evaluates_as_it_did_among_the_others(run, arguments, place, variant):
    expected = evaluated("base", "--head", "all")[variant]
    result = invoke("export", *arguments, "base", "--json")
    assert result.exit_code == 0, result.stderr
    written = json.loads(result.stdout)
    assert written["config"] == f"runs/base/export/{place}/config.py"
    found = evaluated("--config", written["config"], "--checkpoint", written["checkpoint"])
    assert found == {"detector": pytest.approx(expected, abs=1e-4, nan_ok=True)}


def test_the_files_stand_on_their_own_and_tell_where_they_come_from(run):
    metrics = evaluated("base", "--head", "ensemble")["ensemble"]
    assert invoke("export", "fold", "base", "--out", "mine").exit_code == 0
    cfg, meta = Config.fromfile("mine/config.py"), read_checkpoint("mine/model.pth")["meta"]
    assert "custom_imports" not in cfg
    assert "train_dataloader" not in cfg
    assert cfg.model.roi_head.type == "StandardRoIHead"
    assert meta["provenance"]["trained"] == "2 R-CNN heads at 1:1, 1:9 (soft sampling), λ0 7 (linear)"
    assert meta["provenance"]["metrics"]["AP"] == pytest.approx(metrics["AP"])
    assert meta["dataset_meta"]["classes"][0] == "disc"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("head", "base", "--head", "ensemble"), "`rgacli export fold` exports the ensemble"),
        (("head", "base", "--head", "all"), "this exports one head"),
        (("head", "base", "--head", "1:5"), "--head 1:5: this detector has 1:1, 1:9"),
        (("fold", "gone"), "no run 'gone'"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(run, arguments, complaint):
    result = invoke("export", *arguments)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert not (run / "export").exists()
