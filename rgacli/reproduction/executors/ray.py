"""Running tasks on a Ray cluster: a Ray task for each, with its GPUs, on whichever machine has room."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rgacli.cores import environment_of
from rgacli.errors import RunFailed, UsageError
from rgacli.reproduction.executors.task import ONE_PROCESSOR, Resources, Task, call

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_ANSWER = 10.0
_SECONDS_TO_STOP = 120.0
_RETRIES = 5
"""How often a task is begun anew whose machine or process died: it goes on from what it has saved."""


@dataclass(frozen=True)
class RayExecutor:
    """Runs tasks on a cluster whose machines share the sweep's folder, and have this package.

    Attributes:
        address: Of the cluster; None: the one that this machine belongs to, else a new one on this machine alone.
        resources: Of each task.
        jobs: How many at a time; None: as many as there is room for.
    """

    address: str | None = None
    resources: Resources = ONE_PROCESSOR
    jobs: int | None = None

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> dict[str, str]:
        """See Executor.

        Raises:
            UsageError: Ray is not installed.
            RunFailed: there is no cluster at the address, or it has no machine that could run a task.
        """
        ray = _ray()
        _require_answer(self.address or "")
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="error", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            what = " ".join(str(error).split())
            raise RunFailed(f"there is no Ray cluster at {self.address or 'this machine'}: {what}") from error
        try:
            self._require_room(ray)
            return self._run(ray, tasks, watch)
        finally:
            ray.shutdown()

    def _run(self, ray: Any, tasks: Sequence[Task], watch: Callable[[], None]) -> dict[str, str]:
        remote = ray.remote(
            num_cpus=max(1, self.resources.threads),
            num_gpus=self.resources.gpus,
            max_retries=_RETRIES,
            scheduling_strategy="SPREAD",
        )(call)
        environment = environment_of(self.resources.threads)
        waiting, running, endings = list(tasks), {}, {}
        try:
            while waiting or running:
                unended = {task.name for task in waiting} | set(running.values())
                ready = [task for task in waiting if not unended.intersection(task.after)]
                for task in ready[: (self.jobs or len(tasks)) - len(running)]:
                    waiting.remove(task)
                    running[remote.remote(task, environment, os.getcwd())] = task.name
                done, _ = ray.wait(list(running), timeout=_SECONDS_BETWEEN_LOOKS)
                for reference in done:
                    name = running.pop(reference)
                    if found := _ending(ray, reference):
                        endings[name] = found
                watch()
        except BaseException:
            for reference in running:
                ray.cancel(reference)
            ray.wait(list(running), num_returns=len(running), timeout=_SECONDS_TO_STOP)
            raise
        return endings

    def _require_room(self, ray: Any) -> None:
        """Raise RunFailed unless some machine has the GPUs that a task needs: Ray would wait for one for ever."""
        most = max((node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
        if self.resources.gpus > most:
            raise RunFailed(
                f"each job needs {self.resources.gpus} GPUs: no machine of the cluster has more than {most:g}."
            )


def _ending(ray: Any, reference: Any) -> str:
    """Return how a task ended that did not end well; "" of one that did."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        return f"Ray could not run it: {str(error).strip().splitlines()[0]}"


def _require_answer(address: str) -> None:
    """Raise RunFailed unless something answers at HOST:PORT: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in address:
        return  # "auto", or ray://…
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise RunFailed(f"there is no Ray cluster at {address}: {error}.") from error


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError("the package ray is not installed: pip install ray.") from None
    return ray
