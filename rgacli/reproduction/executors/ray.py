"""Running tasks on a Ray cluster: a Ray task for each, with its GPUs, on whichever machine has room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgacli.errors import RunFailed, UsageError
from rgacli.reproduction.executors.task import ONE_PROCESSOR, Resources, Task, environment_of

_SECONDS_BETWEEN_LOOKS = 1.0
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

    def run(self, tasks: Sequence[Task], watch: Callable[[], None]) -> None:
        """See Executor.

        Raises:
            UsageError: Ray is not installed.
            RunFailed: there is no cluster at the address, or it has no machine that could run a task.
        """
        ray = _ray()
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="error", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            what = " ".join(str(error).split())
            raise RunFailed(f"there is no Ray cluster at {self.address or 'this machine'}: {what}") from error
        try:
            self._require_room(ray)
            self._run(ray, tasks, watch)
        finally:
            ray.shutdown()

    def _run(self, ray: Any, tasks: Sequence[Task], watch: Callable[[], None]) -> None:
        remote = ray.remote(
            num_cpus=max(1, self.resources.threads),
            num_gpus=self.resources.gpus,
            max_retries=_RETRIES,
            scheduling_strategy="SPREAD",
        )(_call)
        environment = environment_of(self.resources.threads)
        waiting, running, ended = list(tasks), {}, set()
        while waiting or running:
            most = self.jobs or len(tasks)
            unended = {task.name for task in tasks} - ended
            for task in [task for task in waiting if not unended.intersection(task.after)][: most - len(running)]:
                waiting.remove(task)
                running[remote.remote(task.command, str(task.log), os.getcwd(), environment)] = task.name
            done, _ = ray.wait(list(running), timeout=_SECONDS_BETWEEN_LOOKS)
            for reference in done:
                name = running.pop(reference)
                ended.add(name)
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as error:  # what the command itself fails of, it has noted
                    raise RunFailed(f"Ray could not run {name}: {str(error).splitlines()[0]}") from error
            watch()

    def _require_room(self, ray: Any) -> None:
        """Raise RunFailed unless some machine has the GPUs that a task needs: Ray would wait for one for ever."""
        most = max((node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
        if self.resources.gpus > most:
            raise RunFailed(
                f"each job needs {self.resources.gpus} GPUs: no machine of the cluster has more than {most:g}."
            )


def _call(command: Sequence[str], log: str, folder: str, environment: dict[str, str]) -> int:
    """Run a command in a folder and return its exit code; on the machine that Ray chose.

    It needs nothing of this package, which Ray sends it without.
    """
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        return subprocess.call(
            command, cwd=folder, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
        )


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError("the package ray is not installed: pip install ray.") from None
    return ray
