"""Several processes as one job: joining it, and what its ranks agree on. In a job of one, all of this does nothing."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, all_reduce, broadcast_object_list, get_world_size, init_dist
from mmengine.model import is_model_wrapper
from mmengine.utils.dl_utils import set_multi_processing
from torch import nn

from rgacli.errors import UsageError, explain
from rgacli.wording import param


def join(launcher: str) -> None:
    """Make this process a rank of a job, by mmengine's launchers: on NCCL with a GPU to each, else on gloo.

    Args:
        launcher: "pytorch" (torchrun), "slurm" or "mpi": whose environment variables tell rank and address.

    Raises:
        UsageError: there are more processes on this machine than GPUs.
    """
    if "LOCAL_RANK" not in os.environ:  # mmengine reads it of every launcher, and sets it for SLURM alone
        os.environ["LOCAL_RANK"] = os.environ.get("SLURM_LOCALID") or os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", "0")
    gpus, local_rank = torch.cuda.device_count(), int(os.environ["LOCAL_RANK"])
    if 0 < gpus <= local_rank:
        raise UsageError(
            f"{param('launcher', launcher)}: process {local_rank + 1} of this machine has no GPU; it has {gpus}."
        )
    for library in ("OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")  # mmengine's choice, which it warns of
    set_multi_processing(distributed=True)  # as mmengine's Runner does before its init_dist
    set_device = torch.cuda.set_device
    if not gpus:
        torch.cuda.set_device = lambda device: None  # mmengine's launchers call it in any case
    try:
        init_dist(launcher, backend="nccl" if gpus else "gloo")
    finally:
        torch.cuda.set_device = set_device


def leave() -> None:
    """End the process group and its threads, where there is one."""
    if torch.distributed.is_initialized():
        # A runner is in reference cycles, and its DistributedDataParallel keeps the group's threads alive. One that
        # needs the interpreter while it shuts down aborts the process.
        gc.collect()
        torch.distributed.destroy_process_group()


def bare(model: nn.Module) -> nn.Module:
    """Return the model itself, where DistributedDataParallel or its like is wrapped around it."""
    return model.module if is_model_wrapper(model) else model


def highest(value: int) -> int:
    """Return the highest of all ranks' values, on every rank."""
    if get_world_size() == 1:
        return value
    tensor = torch.tensor(value)
    all_reduce(tensor, op="max")
    return int(tensor)


def first_report(report: str | None, time: int = 0) -> str | None:
    """Return what the rank that has anything to report says, on every rank: "rank 1: …"; None if none has.

    Args:
        report: This rank's.
        time: Of several reports the one with the lowest is taken, and of equals the one of the lowest rank.
    """
    if not highest(report is not None):
        return None
    if get_world_size() == 1:
        return report
    reports = all_gather_object((time, report))
    _, rank, text = min((time, rank, text) for rank, (time, text) in enumerate(reports) if text is not None)
    return f"rank {rank}: {text}"


def of_rank_0(value: Any) -> Any:
    """Return rank 0's value, on every rank."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


@contextmanager
def together() -> Iterator[None]:
    """Run a block that fails on every rank if it fails on one, with the same message, which rank 0 tells."""
    if get_world_size() == 1:
        yield
        return
    failure = None
    try:
        yield
    except Exception as error:
        failure = explain(error)
        failure.__cause__ = error
    failures = all_gather_object((type(failure), failure.message) if failure else None)
    for rank, found in enumerate(failures):
        if found:
            kind, text = found
            alike = all(other == found for other in failures)
            raise kind(text if alike else f"rank {rank}: {text}", shared=True) from failure


def set_sync_bn(cfg: Config) -> None:
    """Have batch statistics computed over the images of all processes (SyncBN), in place.

    Raises:
        UsageError: there is one process alone, or no GPU, which SyncBN needs.
    """
    if not torch.cuda.is_available():
        raise UsageError(f"{param('sync_bn', True)}: SyncBN needs a CUDA device, and torch sees none.")
    if get_world_size() == 1:
        raise UsageError(
            f"{param('sync_bn', True)}: it synchronises processes, and this job has one; give several by "
            f"{param('gpus')}."
        )
    cfg.sync_bn = "torch"
