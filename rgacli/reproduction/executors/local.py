"""Running tasks on this machine, some at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rgacli.reproduction.executors.task import ONE_PROCESSOR, Resources, Task, environment_of

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class LocalExecutor:
    """Runs tasks as processes of this machine.

    Attributes:
        places: How many at a time.
        resources: Of each. With GPUs, each place has its own as far as there are enough, and shares them beyond.
        gpus: GPUs of this machine.
    """

    places: int
    resources: Resources = ONE_PROCESSOR
    gpus: int = 0
    _running: dict[str, tuple[subprocess.Popen, int]] = field(default_factory=dict)

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> None:
        """See Executor."""
        waiting = list(tasks)
        with _sigterm_as_interrupt():
            try:
                while waiting or self._running:
                    self._note_ended()
                    unended = {*self._running, *(task.name for task in waiting)}
                    ready = [task for task in waiting if not unended.intersection(task.after)]
                    for task in ready[: self.places - len(self._running)]:
                        waiting.remove(task)
                        self._start(task)
                    watch()
                    time.sleep(_SECONDS_BETWEEN_LOOKS)
            except KeyboardInterrupt:
                self._stop()
                watch()
                raise

    def _start(self, task: Task) -> None:
        place = min(set(range(self.places)) - {place for _, place in self._running.values()})
        environment = {**os.environ, **environment_of(self.resources.threads)}
        if self.gpus and self.resources.gpus:
            first = place * self.resources.gpus
            own = [str((first + number) % self.gpus) for number in range(self.resources.gpus)]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        task.log.parent.mkdir(parents=True, exist_ok=True)
        with task.log.open("ab") as log:
            # In a session of its own, so that Ctrl-C comes to it once, from here.
            process = subprocess.Popen(
                task.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        self._running[task.name] = (process, place)

    def _note_ended(self) -> None:
        for name, (process, _) in list(self._running.items()):
            if process.poll() is not None:
                del self._running[name]

    def _stop(self) -> None:
        """Have all stop as by Ctrl-C, which leaves checkpoints, and wait for them; a second Ctrl-C ends them."""
        for process, _ in self._running.values():
            process.send_signal(signal.SIGINT)
        try:
            for process, _ in self._running.values():
                process.wait()
        except KeyboardInterrupt:
            for process, _ in self._running.values():
                process.kill()
        self._running.clear()


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, in the main thread."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # in another thread nobody can
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
