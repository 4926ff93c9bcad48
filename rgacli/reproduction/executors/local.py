"""Running tasks on this machine, some at a time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rgacli.cores import environment_of
from rgacli.reproduction.executors.task import ONE_PROCESSOR, Resources, Task, ending, start
from rgacli.reproduction.stopping import interrupts_held_back

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

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> dict[str, str]:
        """See Executor."""
        waiting, endings = list(tasks), {}
        try:
            while waiting or self._running:
                endings |= self._ended()
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
        return endings

    def _start(self, task: Task) -> None:
        place = min(set(range(self.places)) - {place for _, place in self._running.values()})
        environment = {**environment_of(self.resources.threads), _VISIBLE: self._gpus_of(place)}
        with interrupts_held_back():
            self._running[task.name] = (start(task, environment), place)

    def _gpus_of(self, place: int) -> str:
        """Return the GPUs of a place, of those that this process was given, as CUDA is told of them."""
        if not self.gpus:
            return ""
        known = [name for name in os.environ.get(_VISIBLE, "").split(",") if name]
        names = known if len(known) >= self.gpus else list(map(str, range(self.gpus)))
        first = place * self.resources.gpus
        return ",".join(names[(first + number) % self.gpus] for number in range(self.resources.gpus))

    def _ended(self) -> dict[str, str]:
        """Forget the tasks that have ended, and return how those that did not end well did."""
        ended = {name: code for name, (process, _) in self._running.items() if (code := process.poll()) is not None}
        for name in ended:
            del self._running[name]
        return {name: ending(code) for name, code in ended.items() if code}

    def _stop(self) -> None:
        """Have all stop, which leaves checkpoints, and wait for them; a second Ctrl-C ends them."""
        try:
            for process, _ in self._running.values():
                process.terminate()
            for process, _ in self._running.values():
                process.wait()
        except KeyboardInterrupt:
            for process, _ in self._running.values():
                process.kill()
        self._running.clear()
