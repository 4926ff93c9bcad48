import json
from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config

import rgacli
from rgacli.errors import UsageError
from rgacli.modeling.checkpoints import read_checkpoint
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


# --- ONNX


def predicted(*arguments):
    """The detections that `rgacli predict` leaves."""
    result = invoke("predict", *arguments, "--score", 0, "--out", "found")
    assert result.exit_code == 0, result.stderr
    return json.loads(Path("found/predictions.json").read_text())["annotations"]


@pytest.mark.parametrize(("which", "file"), [("ensemble", "fold.onnx"), ("1:9", "1to9.onnx"), ("0", "1to1.onnx")])
def test_an_onnx_file_predicts_as_its_run_does(finding, dataset, which, file):
    images = dataset / "images/test"
    result = invoke("export", "onnx", "base", "--head", which, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["onnx"] == f"runs/base/export/{file}"
    assert told["check"]["images"] == 4
    assert told["check"]["detections"] > 5
    expected = predicted(images, "--run", "base", "--head", which)
    found = predicted(images, "--checkpoint", told["onnx"])
    assert len(found) == len(expected) > 5
    of_classes, expected_of_classes = (
        Counter((e["image_id"], e["category_id"]) for e in own) for own in (found, expected)
    )
    assert of_classes == expected_of_classes
    assert rgacli.load(told["onnx"], device="cpu").heads == ("detector",)


def test_a_detector_without_parallel_heads_is_exported_as_it_is(finding):
    assert invoke("export", "fold", "base").exit_code == 0
    result = invoke("export", "onnx", "runs/base/export/fold", "--out", "mine.onnx", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["onnx"] == "mine.onnx"
    assert told["check"]["detections"] > 5
    assert told["provenance"]["trained"].startswith("2 R-CNN heads at 1:1, 1:9")  # as the run was, not the export
    assert told["provenance"]["exported"] == "ensemble"


@pytest.mark.parametrize(("command", "file"), [("fold", "fold/model.pth"), ("onnx", "fold.onnx")])
def test_what_does_not_pass_its_check_is_not_kept(finding, command, file, monkeypatch):
    from rgacli.export.parity import Agreement

    monkeypatch.setattr(Agreement, "__add__", lambda self, other: Agreement(1, 1, boxes=0.5))
    result = invoke("export", command, "base")
    assert result.exit_code == 1
    assert "does not detect what ensemble does, and is not kept: 1 image" in error_line(result.stderr)
    assert not [path for path in (finding / "export").rglob("*") if path.is_file()]
    assert invoke("export", command, "base", "--check", 0).exit_code == 0
    before = (finding / "export" / file).read_bytes()
    assert invoke("export", command, "base").exit_code == 1
    assert (finding / "export" / file).read_bytes() == before


def test_an_export_takes_no_dataset(finding):
    config = finding / "config.py"
    config.write_text(
        config.read_text() + "\ntest_dataloader['dataset'].update(ann_file='moved.json', data_root='gone')\n"
    )
    for command in ("fold", "onnx"):
        result = invoke("export", command, "base", "--json")
        assert result.exit_code == 0, result.stderr
        assert "not checked, for the test split's images are not there" in result.stderr
        told = json.loads(result.stdout)
        assert (told["check"], told["provenance"]["metrics"], told["provenance"]["measured_on"]) == (None, {}, None)
    assert rgacli.load("runs/base/export/fold.onnx").classes[0] == "disc"
    with pytest.raises(UsageError, match=r"fold\.onnx: an ONNX file takes no config"):
        rgacli.load("runs/base/export/fold.onnx", "quickstart")


def test_a_check_on_which_nothing_is_found_says_so(run):
    config = run / "config.py"
    config.write_text(config.read_text().replace("score_thr=0.05", "score_thr=1.0"))
    result = invoke("export", "fold", "base")
    assert result.exit_code == 0
    assert "4 images, 0 detections" in result.stderr
    assert "nothing was found, so that nothing is shown" in result.stderr


def test_without_images_there_is_no_check(run, monkeypatch):
    monkeypatch.setattr("rgacli.config.dataset.image_folder", lambda dataset: "gone")
    result = invoke("export", "fold", "base", "--json")
    assert result.exit_code == 0
    assert "not checked, for the test split's images are not there" in result.stderr
    assert json.loads(result.stdout)["check"] is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("onnx", "base", "--head", "all"), "of one head, or of their ensemble"),
        (("onnx", "base", "--out", "model.bin"), "--out model.bin: the name of an ONNX file ends in .onnx"),
        (("onnx", "base", "--head", "1:5"), "--head 1:5: this detector has 1:1, 1:9"),
        (("head", "base", "--head", "ensemble"), "`rgacli export fold` exports the ensemble"),
        (("head", "base", "--head", "all"), "of one head, or of their ensemble"),
        (("head", "base", "--head", "1:5"), "--head 1:5: this detector has 1:1, 1:9"),
        (
            ("head", "runs/base/stock", "--head", "0"),
            "FasterRCNN has no parallel heads: it is a stock detector already",
        ),
        (("fold", "gone"), "no run 'gone'"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(run, arguments, complaint):
    assert invoke("export", "fold", "base", "--out", "runs/base/stock", "--check", 0).exit_code == 0
    result = invoke("export", *arguments)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert not (run / "export").exists()
