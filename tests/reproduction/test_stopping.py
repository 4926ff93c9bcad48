import signal
import subprocess
import sys
import textwrap

import pytest

from rgacli.errors import explain
from rgacli.reproduction.stopping import Stopped


def start(code):
    """A process that runs code after the room's functions are imported, and says when it has come so far."""
    text = "import os, signal, subprocess, sys, time\nfrom rgacli.reproduction.stopping import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", text + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_end_by_a_signal_has_the_shells_exit_code():
    assert explain(Stopped("stopped.")).exit_code == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_that_inherited_to_ignore_it(number):
    process = start(
        f"""
        signal.signal({number}, signal.SIG_IGN)
        take_signals()
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("stopped")
        """
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=30)[0] == "stopped\n"


def test_a_signal_that_was_swallowed_is_not_forgotten_and_a_batch_systems_warning_is_ignored():
    process = start(
        """
        take_signals()
        os.kill(os.getpid(), signal.SIGUSR2)
        require_not_asked()
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
        try:
            require_not_asked()
        except KeyboardInterrupt:
            print("remembered")
        """
    )
    assert process.communicate(timeout=30)[0] == "remembered\n"


def test_signals_come_once_what_they_would_interrupt_has_ended():
    process = start(
        """
        with sigterm_as_interrupt():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signal.SIGINT, signal.default_int_handler)
                before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
                try:
                    with interrupts_held_back():
                        os.kill(os.getpid(), number)
                        print("the end of the block")
                    print("never")
                except KeyboardInterrupt:
                    print("interrupted")
                assert before == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        """
    )
    assert process.communicate(timeout=30)[0] == "the end of the block\ninterrupted\n" * 2


def test_a_block_without_signals_and_one_of_another_thread_leave_all_as_it_was():
    process = start(
        """
        import threading
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def block():
            with interrupts_held_back():
                os.kill(os.getpid(), signal.SIGINT)
                assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
                print("not interrupted")

        block()
        thread = threading.Thread(target=block)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        """
    )
    assert process.communicate(timeout=30)[0] == "not interrupted\n" * 2
