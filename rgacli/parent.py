"""Processes and those that they start: what is done before, and stopping with the one that waits for this one."""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "RGACLI_PARENT"
"""Environment variable: id of the process that waits for this one."""

_SECONDS_BETWEEN_LOOKS = 1.0


def stop_with_parent() -> None:
    """Stop, as by SIGTERM, once the process that waits for this one is gone, or has been before this looks."""
    parent = int(os.environ.get(PARENT) or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)  # it may be waiting, this thread is not

    threading.Thread(target=watch, daemon=True).start()


def before_children() -> None:
    """Do what processes that begin at the same time would trip over.

    Imported for the first time on a machine, mmengine's formatter writes its grammar into the user's cache, and gives
    the file its name before all of it is written: a second process that begins just then reads half of it.
    """
    import yapf  # noqa: F401
