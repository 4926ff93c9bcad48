import errno
import fcntl
import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from rgacli import locks
from rgacli.errors import UsageError
from rgacli.locks import Owner, locked, owner_of


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A lock's file, which nobody has, and no patience with children of what has ended."""
    monkeypatch.setattr(locks, "_UNTIL_ITS_CHILDREN_END", 0.0)
    return tmp_path / ".lock"


@pytest.fixture
def without_locks(monkeypatch):
    """The file system knows no locks."""

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)


def note(path, owner):
    path.write_text(json.dumps(asdict(owner)))


def ended():
    """A process that was, on this machine."""
    return replace(Owner.me(), pid=int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True).stdout))


def test_a_lock_tells_who_has_it_while_it_is_held(path):
    me = Owner.me()
    assert owner_of(path) == ""
    with locked(path, "x is held by"):
        assert owner_of(path) == f"process {me.pid} on {me.host}"
        with pytest.raises(UsageError) as refused, locked(path, "x is held by"):
            pass
        assert str(refused.value) == f"x is held by process {me.pid} on {me.host}."
    assert owner_of(path) == ""
    assert path.read_text() == ""


def test_what_an_owner_that_was_killed_noted_stands_in_nobodys_way(path):
    note(path, ended())
    assert owner_of(path) == ""
    with locked(path, "x is held by"):
        assert str(Owner.me().pid) in owner_of(path)


def test_another_process_is_named_and_so_is_one_that_has_left_children(path):
    code = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'a')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        for owner, expected in (
            (None, "x is held by another process."),
            (Owner(other.pid, Owner.me().host, locks._began(other.pid)), f"x is held by process {other.pid} on "),
            (ended(), ", which has ended, but not all that it started."),
        ):
            path.write_text("") if owner is None else note(path, owner)
            with pytest.raises(UsageError) as refused, locked(path, "x is held by"):
                pass
            assert expected in str(refused.value)
        other.communicate()


def test_the_children_of_what_was_killed_are_waited_for(path, monkeypatch):
    note(path, ended())
    answers = iter([False, False, False, False, True, True])
    monkeypatch.setattr(locks, "_UNTIL_ITS_CHILDREN_END", 60.0)
    monkeypatch.setattr(locks, "try_lock", lambda *_: next(answers))
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: None)
    with locked(path, "x is held by"):
        pass
    assert next(answers, None) is None


def test_without_locks_the_note_alone_tells(path, without_locks, caplog):
    with locked(path, "x is held by"):
        assert owner_of(path)
    note(path, ended())
    with locked(path, "x is held by"):
        pass
    parent = locks.os.getppid()
    note(path, Owner(parent, Owner.me().host, locks._began(parent)))
    with pytest.raises(UsageError, match=f"x is held by process {parent} on"), locked(path, "x is held by"):
        pass
    note(path, Owner(parent, Owner.me().host, "another one's"))  # its number was given anew
    with locked(path, "x is held by"):
        pass


def test_without_locks_an_owner_on_another_machine_is_told_of(path, without_locks, caplog):
    note(path, Owner(1, "elsewhere", "1"))
    with caplog.at_level("INFO", logger="rgacli"), locked(path, "x is held by"):
        pass
    assert "x is held by process 1 on elsewhere, or was" in caplog.text


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 1}', "\xff"])
def test_a_note_that_is_none_names_nobody(path, text):
    path.write_bytes(text.encode("latin-1"))
    with locked(path, "x is held by"):
        assert owner_of(path)
