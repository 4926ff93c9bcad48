"""Stopping with the process that waits for this one: once that is gone, nobody would know of the rest."""

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
