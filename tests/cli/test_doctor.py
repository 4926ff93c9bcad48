import json

import pytest

from rgacli.modeling import build
from tests.cli.commands import call, invoke


def test_doctor_reports_versions_and_that_a_training_step_works(tmp_path):
    done = call("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["works"] is True
    assert {"rgacli", "python", "torch", "mmdet", "CUDA", "mmcv native ops", "embedded dataset"} <= set(facts)
    assert facts["tiny training step"].startswith("works (loss ")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def broken(monkeypatch):
    def fail(_):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(build, "try_detector", fail)


def test_doctor_says_what_failed_and_exits_with_one(folder, broken):
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "FAILED: RuntimeError: no kernel image is available" in " ".join(result.stdout.replace("│", " ").split())
    assert "Traceback" not in result.stderr
    assert json.loads(invoke("doctor", "--json").stdout)["works"] is False


def test_doctors_table_fits_eighty_columns(folder, broken):
    lines = invoke("doctor").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "rgacli" in lines[2]  # no empty heading above the first fact
