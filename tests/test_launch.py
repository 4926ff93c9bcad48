"""Jobs of two small programs each, which know nothing of torch."""

import json
import os
import signal
import sys
import textwrap
import threading
import time

import pytest

from rgacli.launch import Job, JobFailed, launch

RECORD = """
    import json, os, signal, sys, time
    rank = os.environ["RANK"]

    def fail(message, exit_code=1, kind="RunFailed", shared=False):
        what = dict(message=message, kind=kind, exit_code=exit_code, shared=shared, timestamp=int(time.time()))
        json.dump(what, open(os.environ["TORCHELASTIC_ERROR_FILE"], "w"))
        sys.exit(exit_code)
"""


def run(code, *arguments, processes=2, **environment):
    """Runs a program in several processes."""
    program = textwrap.dedent(RECORD) + textwrap.dedent(code)
    launch([sys.executable, "-c", program, *map(str, arguments)], Job(processes), environment)


def failure(code, *arguments):
    with pytest.raises(JobFailed) as failed:
        run(code, *arguments)
    return str(failed.value), failed.value.exit_code


def test_each_process_knows_its_place_and_what_it_was_given(tmp_path):
    code = """
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "COLOUR", "RGACLI_PARENT")
        json.dump({name: os.environ[name] for name in names}, open(f"{sys.argv[1]}/{rank}", "w"))
    """
    run(code, tmp_path, processes=3, COLOUR="blue")
    found = [json.loads((tmp_path / str(rank)).read_text()) for rank in range(3)]
    alike = dict(WORLD_SIZE="3", COLOUR="blue", RGACLI_PARENT=str(os.getpid()))
    assert found == [dict(RANK=str(n), LOCAL_RANK=str(n), **alike) for n in range(3)]


def test_what_all_would_trip_over_is_done_before(monkeypatch):
    done = []
    monkeypatch.setattr("rgacli.launch.before_children", lambda: done.append(os.environ.get("COLOUR")))
    run("pass", processes=1, COLOUR="blue")
    assert done == [None]  # not yet theirs


def test_what_a_job_needs_is_gone_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    handlers, variables = [signal.getsignal(number) for number in signal.valid_signals()], dict(os.environ)
    run("pass", COLOUR="blue")
    failure("sys.exit(1)")
    assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers
    assert dict(os.environ) == variables
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_is_named_by_its_rank_and_takes_the_others_with_it():
    begun = time.monotonic()
    code = """
        if rank == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    """
    message, exit_code = failure(code)
    assert message == "rank 1 was ended by SIGKILL (killed, perhaps for want of memory)."
    assert exit_code == 1
    assert time.monotonic() - begun < 30


def test_a_process_that_says_nothing_is_told_of_by_its_exit_code():
    assert failure("sys.exit(3) if rank == '1' else time.sleep(60)") == ("rank 1 ended with exit code 3.", 3)


@pytest.mark.parametrize(("shared", "prefix"), [(False, "rank 1: "), (True, "")])
def test_what_a_process_recorded_is_told_with_its_rank_unless_all_say_so(shared, prefix):
    code = f"fail('it failed', 2, shared={shared}) if rank == '1' else time.sleep(60)"
    assert failure(code) == (f"{prefix}it failed", 2)


def test_the_cause_is_told_and_not_what_follows_from_it():
    """Whichever ends first: one process loses the connection to the other, which is what failed."""
    code = """
        if rank == "0":
            fail("the connection was lost", kind="PeerLost")
        signal.signal(signal.SIGTERM, lambda *_: fail("out of memory"))
        time.sleep(60)
    """
    assert failure(code) == ("rank 1: out of memory", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_waited_for(tmp_path, number):
    code = """
        def stop(number, frame):
            time.sleep(1)
            fail(f"stopped by {signal.Signals(number).name}", 130, shared=True)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        open(f"{sys.argv[1]}/{rank}", "w")
        time.sleep(60)
    """

    def send():
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        time.sleep(0.2)  # the launcher's own handlers are in place once the processes are
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    assert failure(code, tmp_path) == (f"stopped by {number.name}", 130)


def test_a_second_signal_ends_processes_that_do_not_stop(tmp_path):
    code = """
        signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, signal.SIG_DFL))
        open(f"{sys.argv[1]}/{rank}", "w")
        for _ in range(600):
            time.sleep(0.1)
    """

    def send():
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        for _ in range(2):
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send).start()
    assert failure(code, tmp_path) == ("stopped by SIGINT.", 130)
