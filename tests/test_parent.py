import os
import pickle
import subprocess
import sys
import textwrap

import pytest

from rgacli.parent import PARENT

TAKE = "def take(*_): raise KeyboardInterrupt\nsignal.signal(signal.SIGTERM, take)\n"


def start(code, **environment):
    """A process that takes SIGTERM for Ctrl-C and then runs code."""
    text = "import signal, subprocess, sys, time\nfrom rgacli.parent import *\n" + TAKE
    return subprocess.Popen(
        [sys.executable, "-c", text + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_process_stops_with_the_one_that_waits_for_it():
    process = start(
        f"""
        code = "import signal, time; from rgacli.parent import *\\n" + {TAKE!r} + "stop_with_parent()\\n"
        subprocess.Popen([sys.executable, "-c", code + "print('ready', flush=True); time.sleep(60)"])
        time.sleep(60)
        """
    )
    assert process.stdout.readline() == "ready\n"
    process.kill()
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]  # the child's, who has the pipe as well


def test_a_process_stops_whose_parent_was_gone_before_it_looked():
    process = start("stop_with_parent()\ntime.sleep(60)", **{PARENT: "999999999"})
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]


@pytest.mark.skipif(sys.platform != "linux", reason="a cache has another place")
def test_the_formatters_cache_is_there_before_children_are(tmp_path):
    code = "from rgacli.parent import before_children; before_children()"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, check=True)
    written = {path.name.partition("-")[0]: pickle.loads(path.read_bytes()) for path in tmp_path.rglob("*.pickle")}
    assert set(written) == {"Grammar", "PatternGrammar"}
    assert all(written.values())
