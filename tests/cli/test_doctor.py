import json

import pytest

from rgacli.api import doctor as api
from rgacli.api.doctor import Diagnosis
from tests.cli.commands import invoke


@pytest.fixture
def broken(monkeypatch):
    facts = {
        "rgacli": "0.1.0",
        "python": "3.11 (" + "long/" * 20 + ")",
        "tiny training step": "FAILED: no kernel image",
    }
    monkeypatch.setattr(api, "doctor", lambda: Diagnosis(facts, works=False))
    return facts


def test_doctor_shows_what_it_finds_and_exits_with_one_where_it_does_not_work(folder, broken):
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "FAILED: no kernel image" in result.stdout
    assert "Traceback" not in result.stderr
    shown = invoke("doctor", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)) == (1, {**broken, "works": False})


def test_doctor_exits_with_zero_where_all_works(folder, monkeypatch):
    monkeypatch.setattr(api, "doctor", lambda: Diagnosis({"rgacli": "0.1.0"}, works=True))
    result = invoke("doctor", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"rgacli": "0.1.0", "works": True})


def test_doctors_table_fits_eighty_columns(folder, broken):
    lines = invoke("doctor").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "rgacli" in lines[2]  # no empty heading above the first fact
