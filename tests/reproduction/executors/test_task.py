import signal
import subprocess
import sys

import pytest

from rgacli.reproduction.executors.local import LocalExecutor
from rgacli.reproduction.executors.task import Task, call
from rgacli.reproduction.stopping import sigterm_as_interrupt


@pytest.fixture
def started(monkeypatch, request):
    """Processes that were started, a signal having come before that was noted."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    found, popen = [], subprocess.Popen

    def start(*arguments, **options):
        found.append(popen(*arguments, **options))
        signal.raise_signal(request.param)
        return found[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    yield found
    signal.signal(signal.SIGINT, before)
    for process in found:
        process.kill()
        process.wait()


@pytest.mark.parametrize("started", [signal.SIGINT, signal.SIGTERM], indirect=True)
@pytest.mark.parametrize(
    "run", [lambda task: LocalExecutor(1).run([task], lambda: None), lambda task: call(task, {})], ids=["local", "call"]
)
def test_what_interrupts_the_start_of_a_task_stops_it(started, run, tmp_path):
    task = Task("a", (sys.executable, "-S", "-E", "-c", "import time; time.sleep(60)"), (), tmp_path / "log.txt")
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        run(task)
    assert [process.returncode for process in started] == [-signal.SIGTERM]
