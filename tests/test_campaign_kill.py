"""The campaign's part kill: what it takes for a process that stayed behind, and for a half-written file."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign import killing
from tests.campaign.killing import Killer, Moment, end_all, processes_in, require_none_left
from tests.campaign.uninterrupted import Contents

SLEEP = "import time; time.sleep(60)"
CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}'])"


@pytest.fixture
def started(tmp_path):
    """Starts programs in a folder; what is left of them is ended."""
    yield lambda code: subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    end_all(tmp_path)


def test_a_command_is_killed_once_its_sight_is_there_with_all_its_processes(tmp_path, started):
    process = started(f"{CHILD}; print('ready', flush=True); {SLEEP}")
    assert process.stdout.readline() == "ready\n"
    assert len(processes_in(tmp_path)) == 2
    killer = Killer(Moment(sight="runs/.*.pth"), process.pid, tmp_path)
    assert (killer.look(), killer.is_watching) == (False, True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/.epoch_1.x2y.pth").touch()
    assert killer.look()
    assert process.wait(timeout=30) == -9
    require_none_left(tmp_path)


@pytest.mark.parametrize("victims", ["main", "loader"])
def test_one_process_is_killed_and_what_stays_behind_is_told(tmp_path, started, monkeypatch, victims):
    monkeypatch.setattr(killing, "SECONDS_TO_END", 0.0)
    process = started(f"{CHILD}; print('ready', flush=True); {SLEEP}")
    assert process.stdout.readline() == "ready\n"
    assert Killer(Moment(victims=victims), process.pid, tmp_path).look()
    if victims == "main":
        assert process.wait(timeout=30) == -9
    with pytest.raises(AssertionError, match="still there"):
        require_none_left(tmp_path)
    assert processes_in(tmp_path) == []


def test_no_rank_is_killed_where_there_are_none(tmp_path, started):
    process = started(f"print('ready', flush=True); {SLEEP}")
    assert process.stdout.readline() == "ready\n"
    assert not Killer(Moment(victims="rank"), process.pid, tmp_path).look()
    assert processes_in(tmp_path) == [process.pid]


def contents(**files):
    return Contents({Path(name.replace("_", ".")): value for name, value in files.items()})


def test_files_that_vary_are_compared_by_name_alone(tmp_path):
    (tmp_path / "logs").mkdir()
    for name in ("a.json", ".b.x2y.json", "logs/20260101.log"):
        (tmp_path / name).write_text("[1]")
    whole = Contents.of(tmp_path)
    assert whole == contents(a_json=b"[1]")
    varying = whole.agreed(contents(a_json=b"[2]"))
    contents(a_json=b"[3]").require_all_of(varying)
    for other, why in ((contents(), "missing: a.json"), (contents(a_json=b"", c=b""), "in excess: c")):
        with pytest.raises(AssertionError, match=why):
            other.require_all_of(varying)
    with pytest.raises(AssertionError, match=r"other content: a\.json"):
        contents(a_json=b"[2]").require_all_of(whole)


@pytest.mark.parametrize(
    ("left", "why"),
    [
        ({"a_json": b"[1"}, "half written: a.json"),
        ({"v_json": b"[1"}, "half written: v.json"),
        ({"v_svg": b"<svg>"}, "half written: v.svg"),
        ({"v_svg": b""}, "v.svg is empty"),
        ({"c": b""}, "c is left"),
    ],
)
def test_what_is_half_written_is_neither_as_before_nor_as_after(left, why):
    before, whole = contents(a_json=b"[0]"), contents(a_json=b"[1]", v_svg=None, v_json=None)
    contents(a_json=b"[0]", v_svg=b"<svg></svg>\n").require_nothing_half_written(before, whole)
    contents(a_json=b"[1]").require_nothing_half_written(before, whole)
    with pytest.raises(AssertionError, match=why):
        contents(**left).require_nothing_half_written(before, whole)
