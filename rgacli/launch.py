"""Running a command in several processes by torch's elastic launcher, and telling what ended them."""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed.elastic.agent.server import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler
from torch.distributed.elastic.rendezvous.utils import parse_rendezvous_endpoint

from rgacli.errors import PeerLost, RgacliError, RunFailed
from rgacli.files import write_json
from rgacli.parent import PARENT, before_children


class JobFailed(RunFailed):
    """Failure of a process of the job; `exit_code` is its own."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Job:
    """How many processes, and where they meet.

    Args:
        processes: On this machine.
        machines: In all, each with as many processes.
        machine_rank: Of this machine; the first is 0.
        endpoint: HOST:PORT of the first machine, where there are several.
    """

    processes: int
    machines: int = 1
    machine_rank: int = 0
    endpoint: str = ""


def launch(command: Sequence[str], job: Job, environment: Mapping[str, str]) -> None:
    """Run a command once per process and wait for all of them.

    Each finds its rank and the others in torchrun's environment variables, and this process in `parent.PARENT`, to
    stop with it. SIGINT and SIGTERM are passed on to them; the second of these ends them without delay.

    Args:
        command: Program and arguments.
        job: How many processes, and where they meet.
        environment: Additional variables for them.

    Raises:
        JobFailed: one of them failed: by the error that it recorded (`record`), or the signal that killed it.
        RunFailed: the machines did not find each other.
    """
    before_children()
    quiet = logging.getLogger("torch.distributed.elastic")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    variables = {**environment, PARENT: str(os.getpid())}
    with tempfile.TemporaryDirectory(prefix="rgacli-") as folder, _variables(variables), _own_signals():
        spec = WorkerSpec(
            role="rank",
            local_world_size=job.processes,
            entrypoint=command[0],
            args=tuple(command[1:]),
            max_restarts=0,
            monitor_interval=0.1,
            **_rendezvous(job),
        )
        agent = _Agent(spec, DefaultLogsSpecs(log_dir=folder))
        try:
            result = agent.run()
        except SignalException as stopped:
            raise JobFailed(f"stopped by {stopped.sigval.name}.", 128 + stopped.sigval) from None
        except Exception as error:
            if agent.started:
                raise
            where = f"did not meet at {job.endpoint}" if job.machines > 1 else "could not be started"
            raise RunFailed(f"the processes of the job {where}: {type(error).__name__}: {error}") from error
        finally:
            spec.rdzv_handler.shutdown()
        if result.is_failed():
            local_ranks = {worker.local_rank: worker.global_rank for worker in agent.get_worker_group().workers}
            recorded = {
                local_ranks[int(path.parent.name)]: json.loads(path.read_text(encoding="utf-8"))
                for path in sorted(Path(folder).rglob("error.json"))
            }
            raise _cause(result.failures, recorded)


def record(error: RgacliError) -> None:
    """Leave an error where the launcher of this process finds it: `launch`, or torchrun."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        what = dict(message=error.message, kind=type(error).__name__, exit_code=error.exit_code, shared=error.shared)
        write_json(path, {**what, "timestamp": int(time.time())})


class _Agent(LocalElasticAgent):
    """torch's agent, which passes a signal on and then waits for its workers as long as they take to stop.

    Its own handlers give them 30 seconds, and send the signal to the processes that load data as well.
    """

    started = False

    def _start_workers(self, worker_group: Any) -> dict[int, Any]:
        pids = super()._start_workers(worker_group)
        self.started = True
        previous: dict[int, Any] = {}

        def pass_on(number: int, frame: Any) -> None:
            for restored, handler in previous.items():
                signal.signal(restored, handler)
            for pid in pids.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, pass_on)
        return pids


def _rendezvous(job: Job) -> dict[str, Any]:
    """Return what a WorkerSpec needs to know of where the machines meet."""
    several = job.machines > 1
    parameters = RendezvousParameters(
        backend="static" if several else "c10d",
        endpoint=job.endpoint if several else "localhost:0",
        run_id="rgacli",
        min_nodes=job.machines,
        max_nodes=job.machines,
        **({"rank": job.machine_rank} if several else {}),
    )
    address, port = parse_rendezvous_endpoint(job.endpoint, default_port=29400) if several else (None, None)
    return dict(rdzv_handler=get_rendezvous_handler(parameters), master_addr=address, master_port=port)


def _cause(failures: Mapping[int, ProcessFailure], recorded: Mapping[int, dict[str, Any]]) -> JobFailed:
    """Return what ended the job, of what ended its processes. When one dies, the others lose the connection to it.

    Args:
        failures: Rank -> how it ended, the first that was seen first; some versions of torch see no others.
        recorded: Rank -> what `record` left.
    """

    def is_consequence(rank: int) -> bool:
        if rank in recorded:
            return recorded[rank]["kind"] == PeerLost.__name__
        return failures[rank].exitcode == -signal.SIGTERM

    rank = min([*failures, *recorded], key=is_consequence)  # the first of those that are none
    if rank in recorded:
        told = recorded[rank]
        return JobFailed(told["message"] if told["shared"] else f"rank {rank}: {told['message']}", told["exit_code"])
    failure = failures[rank]
    if failure.exitcode > 0:
        return JobFailed(f"rank {rank} ended with exit code {failure.exitcode}.", failure.exitcode)
    killed = " (killed, perhaps for want of memory)" if failure.exitcode == -signal.SIGKILL else ""
    return JobFailed(f"rank {rank} was ended by {failure.signal_name()}{killed}.")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Give signals back what they had before the block: torch's agent takes them and keeps them."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that processes started in the block inherit."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
