import json
from pathlib import Path

import pytest

from rgacli.export.parity import Parity
from tests.cli.commands import error_line, invoke


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("fold", "--check", 2), "runs/base/export/fold/model.pth"),
        (("head", "--head", "1:9", "--check", 2), "runs/base/export/1to9/model.pth"),
        (("head", "--head", "0", "--out", "mine", "--check", 2), "mine/model.pth"),
    ],
)
def test_a_stock_export_prints_its_files_provenance_and_check_as_json(run, arguments, file):
    result = invoke("export", *arguments, "base", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert list(told) == ["config", "checkpoint", "provenance", "check"]
    assert told["checkpoint"] == file
    assert Path(told["config"]).is_file()
    assert told["provenance"]["run"] == "base"
    assert (told["check"]["images"], told["check"]["unpaired"]) == (2, 0)
    assert f'init_detector("{told["config"]}", "{told["checkpoint"]}")' in result.stderr
    assert "checking  2/2" in result.stderr
    assert "without metrics, as there are none on the test split (`rgacli eval` makes them)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "file"), [((), "fold.onnx"), (("--head", "1:9"), "1to9.onnx"), (("--head", "0"), "1to1.onnx")]
)
def test_an_onnx_export_prints_its_file_provenance_and_check_as_json(finding, arguments, file):
    result = invoke("export", "onnx", "base", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert list(told) == ["onnx", "provenance", "check", "batches"]
    assert list(told["batches"]) == ["3", "mixed"]
    assert told["onnx"] == f"runs/base/export/{file}"
    assert told["check"]["images"] == 4
    assert told["check"]["detections"] > 5
    assert result.stderr.splitlines()[-1].endswith(f": {told['onnx']}")


def test_an_onnx_file_predicts_as_a_checkpoint_does(finding, dataset):
    assert invoke("export", "onnx", "base").exit_code == 0
    found = {}
    for name, chosen in {"own": ("--run", "base"), "onnx": ("--checkpoint", "runs/base/export/fold.onnx")}.items():
        result = invoke("predict", dataset / "images/test", *chosen, "--score", 0, "--out", name, "--json")
        assert result.exit_code == 0, result.stderr
        (found[name],) = json.loads(result.stdout)["detections"].values()
    assert found["onnx"] == found["own"]
    assert sum(found["own"].values()) > 5


def test_without_json_nothing_stands_on_stdout(run):
    result = invoke("export", "fold", "--check", 0)
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_check_that_fails_ends_with_its_own_exit_code(run, monkeypatch):
    monkeypatch.setattr(Parity, "within", lambda self, **_: False)
    result = invoke("export", "fold")
    assert result.exit_code == 1
    assert "base: what was exported does not detect what ensemble does" in error_line(result.stderr)
    assert error_line(result.stderr).endswith("(--check 0 exports without looking).")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("onnx", "base", "--head", "all"), "--head all: an export is of one head, or of their ensemble"),
        (("onnx", "base", "--out", "model.bin"), "--out model.bin: the name of an ONNX file ends in .onnx"),
        (("onnx", "base", "--head", "1:5"), "--head 1:5: this detector has 1:1, 1:9"),
        (("head", "base", "--head", "ensemble"), "`rgacli export fold` exports the ensemble"),
        (("fold", "gone"), "no run 'gone'"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(run, arguments, complaint):
    result = invoke("export", *arguments)
    assert result.exit_code == 2
    assert complaint in error_line(result.stderr)
    assert not (run / "export").exists()
