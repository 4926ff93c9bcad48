"""Options of commands that run on several processes, and what each process of a job says."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Literal

import typer

from rgacli.cli.command import Command, print_error
from rgacli.cli.mmdet_spelling import in_our_spelling
from rgacli.cli.options import DEVICE_HELP, Device
from rgacli.cli.output import TYPERS_OWN, mute, unmute
from rgacli.cores import cores, environment_of
from rgacli.errors import RgacliError, UsageError, explain
from rgacli.parent import stop_with_parent

Launcher = Literal["none", "pytorch", "slurm", "mpi"]

_PANEL = "Processes"
GpusOption = Annotated[
    int,
    typer.Option(
        min=1,
        rich_help_panel=_PANEL,
        help="Processes on this machine, a GPU to each (with --device cpu: none), by torch's elastic launcher.",
    ),
]
NnodesOption = Annotated[
    int,
    typer.Option(min=1, rich_help_panel=_PANEL, help="Machines; run the command on each, with its --node-rank."),
]
NodeRankOption = Annotated[
    int, typer.Option(min=0, rich_help_panel=_PANEL, help="Which of the machines this is, from 0.")
]
RdzvEndpointOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", rich_help_panel=_PANEL, help="Where the machines meet: at the first of them."),
]
LauncherOption = Annotated[
    Launcher,
    typer.Option(
        rich_help_panel=_PANEL, help="Who started this process as one of several: torchrun (pytorch), srun or mpirun."
    ),
]
DeviceOption = Annotated[Device, typer.Option(rich_help_panel=_PANEL, help=DEVICE_HELP)]

_WORKER = "RGACLI_WORKER"  # set in the processes that --gpus starts
_RANK = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}
_STARTER = {"pytorch": "torchrun", "slurm": "srun", "mpi": "mpirun"}


class LaunchedCommand(Command):
    """A command with the options above, of which one process speaks where several run it."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Keep the arguments, which the processes of a job are started with."""
        args = in_our_spelling(args, {parameter.name for parameter in self.params})
        ctx.meta["arguments"] = list(args)
        return super().parse_args(ctx, args)

    def run(self, ctx: typer.Context) -> Any:
        """Run the command; as one of several processes, silently unless it is the first, or fails by itself."""
        launcher = "pytorch" if is_worker() else ctx.params["launcher"]
        if launcher == "none":
            return super().run(ctx)
        if is_worker():
            stop_with_parent()
        rank = int(os.environ.get(_RANK[launcher], 0))
        if rank:
            mute()
        try:
            result = super().run(ctx)
        except TYPERS_OWN:
            raise
        except Exception as error:
            _report(explain(error), rank, self)
            if ctx.find_root().params.get("debug"):
                unmute()
                raise
            raise typer.Exit(explain(error).exit_code) from None
        from rgacli.engine.distributed import leave

        leave()
        return result


def is_worker() -> bool:
    """Return whether this process was started by --gpus: the one that started it tells its errors."""
    return _WORKER in os.environ


def run_in_processes(
    context: typer.Context,
    *,
    gpus: int,
    nnodes: int,
    node_rank: int,
    rdzv_endpoint: str | None,
    launcher: Launcher,
    device: Device,
    arguments: tuple[str, ...] = (),
) -> bool:
    """Run the command in several processes where the options say so.

    Args:
        context: Of the command.
        gpus, nnodes, node_rank, rdzv_endpoint, launcher, device: The options.
        arguments: More arguments for these processes, before those that the command was given.

    Returns:
        Whether it has: then there is nothing left to do. If not, this process is to do the work; if it is one of
        several, it has joined them.

    Raises:
        UsageError: the options contradict each other or what there is.
        JobFailed: one of the processes failed.
    """
    if is_worker():
        launcher = "pytorch"
    elif gpus > 1 or nnodes > 1:
        _check(gpus, nnodes, node_rank, rdzv_endpoint, launcher, device)
        _launch(context, gpus, nnodes, node_rank, rdzv_endpoint, arguments)
        return True
    elif node_rank or rdzv_endpoint:
        raise UsageError("--node-rank and --rdzv-endpoint are for several machines: give --nnodes.", shared=True)
    if launcher != "none":
        if _RANK[launcher] not in os.environ:
            raise UsageError(f"--launcher {launcher}: {_RANK[launcher]} is not set; start it by {_STARTER[launcher]}.")
        from rgacli.engine.distributed import join

        join(launcher)
    return False


def _report(error: RgacliError, rank: int, command: Command) -> None:
    """Tell an error once, however many processes have it; --gpus tells those of the processes that it started."""
    from rgacli.launch import record

    record(error)
    if is_worker() or (rank and error.shared):
        return
    unmute()
    print_error(error, command, f"rank {rank}: " if rank else "")


def _check(
    gpus: int, nnodes: int, node_rank: int, rdzv_endpoint: str | None, launcher: Launcher, device: Device
) -> None:
    if launcher != "none":
        raise UsageError(
            f"--launcher {launcher} says that {_STARTER[launcher]} started the processes: leave out --gpus, --nnodes.",
            shared=True,
        )
    if nnodes > 1 and not rdzv_endpoint:
        raise UsageError("--nnodes: name where the machines meet by --rdzv-endpoint HOST:PORT, the same on each.")
    if rdzv_endpoint and not rdzv_endpoint.rpartition(":")[2].isdigit():
        raise UsageError(f"--rdzv-endpoint {rdzv_endpoint} is not of the form HOST:PORT.")
    if node_rank >= nnodes:
        raise UsageError(f"--node-rank {node_rank}: of {nnodes} machines, it can be 0 to {nnodes - 1}.")
    if nnodes == 1 and rdzv_endpoint:
        raise UsageError("--rdzv-endpoint is for several machines: give --nnodes.")
    if device == "mps":
        raise UsageError("--device mps is a single GPU: leave out --gpus, --nnodes.")
    if device == "cpu":
        return
    import torch

    found = torch.cuda.device_count()
    if gpus > found:
        raise UsageError(
            f"--gpus {gpus}: torch sees {found or 'no'} GPU{'s' * (found != 1)} "
            "(--device cpu runs the processes on the CPU)."
        )


def _launch(
    context: typer.Context,
    gpus: int,
    nnodes: int,
    node_rank: int,
    rdzv_endpoint: str | None,
    arguments: tuple[str, ...],
) -> None:
    from rgacli.launch import Job, launch

    debug = ["--debug"] if context.find_root().params.get("debug") else []
    command = [*debug, context.info_name, *arguments, *context.meta["arguments"]]
    threads = environment_of(max(1, cores() // gpus))
    launch(
        [sys.executable, "-m", "rgacli", *command],
        Job(gpus, nnodes, node_rank, rdzv_endpoint or ""),
        {**threads, **{name: os.environ[name] for name in threads if name in os.environ}, _WORKER: "1"},
    )
