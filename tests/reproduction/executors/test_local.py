import json
import signal
import sys

import pytest

from rgacli.cores import environment_of
from rgacli.reproduction.executors import local
from rgacli.reproduction.executors.local import LocalExecutor
from rgacli.reproduction.executors.task import Resources, Task

# Notes when it begins, what it sees, and when it ends; -S -E, so that it is there in a few milliseconds.
NOTED = """
import json, os, sys, time
path, pause = sys.argv[1], float(sys.argv[2])
keys = ('CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')
note = {'begin': time.monotonic(), **{key: os.environ.get(key) for key in keys}}
print('said')
time.sleep(pause)
note['end'] = time.monotonic()
json.dump(note, open(path, 'w'))
"""


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(local, "_SECONDS_BETWEEN_LOOKS", 0.005)
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def nothing():
    pass


@pytest.fixture
def task(tmp_path):
    def of(name, *after, code=NOTED, pause=0.05):
        command = (sys.executable, "-S", "-E", "-c", code, str(tmp_path / f"{name}.json"), str(pause))
        return Task(name, command, after, tmp_path / "jobs" / name / "log.txt")

    return of


@pytest.fixture
def noted(tmp_path):
    return lambda *names: [json.loads((tmp_path / f"{name}.json").read_text()) for name in names]


@pytest.mark.parametrize("places", [1, 2])
def test_so_many_run_at_a_time_as_there_are_places(task, noted, places):
    LocalExecutor(places).run([task(name) for name in "abcd"], nothing)
    notes = noted(*"abcd")
    together = [sum(one["begin"] < note["end"] and note["begin"] <= one["begin"] for note in notes) for one in notes]
    assert max(together) <= places


def test_a_task_begins_once_those_before_it_have_ended(task, noted):
    LocalExecutor(3).run([task("a"), task("b"), task("c", "a", "b"), task("d", "c", pause=0)], nothing)
    a, b, c, d = noted(*"abcd")
    assert max(a["end"], b["end"]) <= c["begin"]
    assert c["end"] <= d["begin"]


def test_a_task_that_fails_holds_up_none_and_one_that_is_not_of_this_run_is_not_waited_for(task, noted):
    failing = task("a", code="raise SystemExit(3)")
    LocalExecutor(1).run([failing, task("b", "a", "finished-before", pause=0)], nothing)
    assert noted("b")


def test_a_task_that_can_begin_is_not_held_up_by_one_that_waits(task, noted, tmp_path):
    until_c = f"""
import pathlib, time
deadline = time.monotonic() + 30
while not pathlib.Path({str(tmp_path / "c.json")!r}).is_file() and time.monotonic() < deadline:
    time.sleep(0.01)
assert time.monotonic() < deadline, "c never began"
"""
    LocalExecutor(2).run([task("a", code=until_c + NOTED), task("b", "a", pause=0), task("c", pause=0)], nothing)
    a, b = noted("a", "b")  # a noted nothing, had c not begun
    assert a["end"] <= b["begin"]


def test_what_a_task_says_is_added_to_its_log(task):
    one = task("a", code="import sys; print('out', flush=True); print('err', file=sys.stderr)")
    for _ in range(2):
        LocalExecutor(1).run([one], nothing)
    assert one.log.read_text() == "out\nerr\n" * 2


def test_each_place_has_its_threads_and_its_gpus(task, noted):
    LocalExecutor(2, Resources(gpus=1, threads=3), gpus=2).run([task("a"), task("b")], nothing)
    notes = noted("a", "b")
    assert sorted(note["CUDA_VISIBLE_DEVICES"] for note in notes) == ["0", "1"]
    assert [(note["OMP_NUM_THREADS"], note["MKL_NUM_THREADS"]) for note in notes] == [("3", "3")] * 2


def test_a_place_that_is_free_again_is_taken_again(task, noted):
    LocalExecutor(1, Resources(gpus=1), gpus=2).run([task("a", pause=0), task("b", pause=0)], nothing)
    assert [note["CUDA_VISIBLE_DEVICES"] for note in noted("a", "b")] == ["0", "0"]
    assert [note["OMP_NUM_THREADS"] for note in noted("a", "b")] == [None, None]


@pytest.mark.parametrize(
    ("given", "gpus", "each", "places"),
    [
        (None, 0, 0, ["", ""]),  # a task without a GPU sees none
        ("3", 0, 0, ["", ""]),
        (None, 4, 2, ["0,1", "2,3"]),
        (None, 2, 1, ["0", "1", "0"]),
        ("5,7", 2, 1, ["5", "7", "5"]),  # of those that this process was given
        ("GPU-a,GPU-b", 2, 2, ["GPU-a,GPU-b"]),
        ("", 2, 1, ["0", "1"]),
    ],
)
def test_gpus_are_shared_out(monkeypatch, given, gpus, each, places):
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    executor = LocalExecutor(len(places), Resources(gpus=each), gpus=gpus)
    assert [executor._gpus_of(place) for place in range(len(places))] == places


def test_variables_of_threads():
    assert environment_of(2) == {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    assert environment_of(0) == {}


# Says that it is ready, waits to be stopped, notes by what, and takes its time to end.
STOPPED = """
import signal, sys, time
def stop(number, frame):
    time.sleep(0.05)
    open(sys.argv[1], 'w').write(f'stopped by {signal.Signals(number).name}')
    sys.exit()
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1] + '.ready', 'w').close()
time.sleep(60)
"""


@pytest.fixture
def when_ready(tmp_path):
    """A watch that does something once tasks are ready to be stopped."""

    def of(names, act):
        def watch():
            if all((tmp_path / f"{name}.json.ready").is_file() for name in names):
                act()

        return watch

    return of


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise OSError("no space left")


@pytest.mark.parametrize(
    ("act", "error"), [(interrupt, KeyboardInterrupt), (fail, OSError)], ids=["Ctrl-C", "the watch fails"]
)
def test_what_ends_the_run_stops_its_tasks_and_waits_for_them(task, tmp_path, when_ready, act, error):
    tasks = [task("a", code=STOPPED), task("b", code=STOPPED), task("c", "a")]
    with pytest.raises(error):
        LocalExecutor(2).run(tasks, when_ready("ab", act))
    assert [(tmp_path / f"{name}.json").read_text() for name in "ab"] == ["stopped by SIGTERM"] * 2
    assert not (tmp_path / "c.json").exists()


def test_a_second_interrupt_kills_what_does_not_stop(task, when_ready, monkeypatch):
    code = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1] + '.ready', 'w').close()\ntime.sleep(60)"
    )
    waited_for = []

    def wait(process):
        waited_for.append(process)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen.wait", wait)
        with pytest.raises(KeyboardInterrupt):
            LocalExecutor(1).run([task("a", code=code)], when_ready("a", interrupt))
    assert [process.wait(30) for process in waited_for] == [-signal.SIGKILL]
