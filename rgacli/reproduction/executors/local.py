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
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass
class LocalExecutor:
    """Runs tasks as processes of this machine.

    Attributes:
        places: How many at a time.
        resources: Of each. With GPUs, each place has its own as far as there are enough, and shares them beyond; a
            task of none sees none.
        gpus: GPUs of this machine that this process sees.
    """

    places: int
    resources: Resources = ONE_PROCESSOR
    gpus: int = 0
    _running: dict[str, tuple[subprocess.Popen, int]] = field(default_factory=dict, init=False, repr=False)

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
            except BaseException:  # Ctrl-C, or what `watch` raised: nobody would know of the rest
                self._stop()
                raise

    def _start(self, task: Task) -> None:
        place = min(set(range(self.places)) - {place for _, place in self._running.values()})
        environment = {**os.environ, **environment_of(self.resources.threads), _VISIBLE: self._gpus_of(place)}
        task.log.parent.mkdir(parents=True, exist_ok=True)
        with task.log.open("ab") as log:
            # In a session of its own, so that Ctrl-C comes to it once, from here.
            process = subprocess.Popen(
                task.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        self._running[task.name] = (process, place)

    def _gpus_of(self, place: int) -> str:
        """Return the GPUs of a place, of those that this process was given, as CUDA is told of them."""
        if not self.gpus:
            return ""
        known = [name for name in os.environ.get(_VISIBLE, "").split(",") if name]
        names = known if len(known) >= self.gpus else list(map(str, range(self.gpus)))
        first = place * self.resources.gpus
        return ",".join(names[(first + number) % self.gpus] for number in range(self.resources.gpus))

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
