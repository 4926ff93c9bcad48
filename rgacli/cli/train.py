"""`rgacli train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from rgacli import runs
from rgacli.cli import launch
from rgacli.cli import train_options as options
from rgacli.cli.options import JsonOption
from rgacli.cli.output import print_json, print_table, say
from rgacli.cli.progress import live_progress
from rgacli.config.catalogue import default_config
from rgacli.errors import RunFailed, explain

if TYPE_CHECKING:
    from rgacli.api.train import TrainResult

app = typer.Typer()


@app.command(cls=launch.LaunchedCommand)
def train(
    context: typer.Context,
    config: options.ConfigArgument = None,
    lambda0: options.Lambda0Option = None,
    anneal: options.AnnealOption = None,
    ratios: options.RatiosOption = None,
    sampling: options.SamplingOption = None,
    head_loss: options.HeadLossOption = None,
    draws: options.DrawsOption = None,
    rga: options.RgaOption = None,
    prm: options.PrmOption = None,
    weights: options.WeightsOption = None,
    freeze_backbone: options.FreezeBackboneOption = None,
    data: options.DataOption = None,
    train_ann: options.TrainAnnOption = None,
    val_ann: options.ValAnnOption = None,
    test_ann: options.TestAnnOption = None,
    train_images: options.TrainImagesOption = None,
    val_images: options.ValImagesOption = None,
    test_images: options.TestImagesOption = None,
    split_by: options.SplitByOption = None,
    max_dets: options.MaxDetsOption = None,
    epochs: options.EpochsOption = None,
    batch_size: options.BatchSizeOption = None,
    lr: options.LrOption = None,
    scale_lr: options.ScaleLrOption = True,
    accumulate: options.AccumulateOption = None,
    clip: options.ClipOption = None,
    seed: options.SeedOption = None,
    best: options.BestOption = None,
    patience: options.PatienceOption = None,
    ema: options.EmaOption = False,
    ema_momentum: options.EmaMomentumOption = None,
    amp: options.AmpOption = False,
    amp_dtype: options.AmpDtypeOption = None,
    compile: options.CompileOption = False,
    sync_bn: options.SyncBnOption = False,
    gpus: launch.GpusOption = 1,
    nnodes: launch.NnodesOption = 1,
    node_rank: launch.NodeRankOption = 0,
    rdzv_endpoint: launch.RdzvEndpointOption = None,
    launcher: launch.LauncherOption = "none",
    device: launch.DeviceOption = "auto",
    name: options.NameOption = None,
    work_dir: options.WorkDirOption = None,
    resume: options.ResumeOption = False,
    track: options.TrackOption = None,
    probe_gradients: options.ProbeGradientsOption = None,
    probe_weight: options.ProbeWeightOption = None,
    settings: options.SetOption = None,
    json: JsonOption = False,
) -> None:
    """Train a two-stage detector with R-CNN Gradient Annealing and Parallel R-CNN Modules.

    With no CONFIG and no --data it trains the quickstart on the embedded dataset. `--lambda0 1 --ratios 1:3` is the
    plain baseline. Ctrl-C stops after the current iteration and leaves a checkpoint for --resume.
    """
    if resume:
        run = runs.find_run(name, work_dir)
        name = name or (None if work_dir else run.handle)
    else:
        name = name or (None if work_dir else runs.default_name(config or default_config(data)))
        run = runs.named(name or "", work_dir)
    with _telling_how_to_go_on(run, gpus, device):
        if launch.run_in_processes(
            context,
            gpus=gpus,
            nnodes=nnodes,
            node_rank=node_rank,
            rdzv_endpoint=rdzv_endpoint,
            launcher=launcher,
            device=device,
            arguments=("--name", name) if name else (),
        ):
            return

        from rgacli.api import train as api

        with live_progress() as progress:
            result = api.train(
                config,
                lambda0=lambda0,
                anneal=anneal,
                ratios=ratios,
                sampling=sampling,
                head_loss=head_loss,
                draws=draws,
                rga=rga,
                prm=prm,
                weights=weights,
                freeze_backbone=freeze_backbone,
                data=data,
                train_ann=train_ann,
                val_ann=val_ann,
                test_ann=test_ann,
                train_images=train_images,
                val_images=val_images,
                test_images=test_images,
                split_by=split_by,
                max_dets=max_dets,
                epochs=epochs,
                batch_size=batch_size,
                lr=lr,
                scale_lr=scale_lr,
                accumulate=accumulate,
                clip=clip,
                seed=seed,
                best=best,
                patience=patience,
                ema=ema,
                ema_momentum=ema_momentum,
                amp=amp,
                amp_dtype=amp_dtype,
                compile=compile,
                sync_bn=sync_bn,
                device=device,
                name=name,
                work_dir=work_dir,
                resume=resume,
                track=[tracker.value for tracker in track or ()] or None,
                probe_gradients=probe_gradients,
                probe_weight=probe_weight,
                settings=settings,
                progress=progress,
            )
    handle = result.run.handle
    if json:
        print_json({**asdict(result), "run": handle})
    else:
        _print_validations(result)
    which = " --which best" if _best_is_another(result) else ""
    say(f"next: rgacli eval {handle} --head all{which}; rgacli analyze report {handle}{which}")


def _print_validations(result: TrainResult) -> None:
    """Print what validation found at the best checkpoint and at the last, head by head."""
    last, best = result.last, result.best
    if last is None:
        return
    apart = _best_is_another(result)
    shown = {" (best)": best, " (last)": last} if apart else {"": last}
    when = "epoch" if last.epoch else "iteration"
    rows = [
        {"head": head, when: f"{getattr(one, when)}{which}", **one.heads[head], **one.bins[head]}
        for head in last.heads
        for which, one in shown.items()
    ]
    head = next(iter(last.heads))
    columns = ["head", when, *list(last.heads[head])[:3], *last.bins[head]]
    title = f"{result.run.name} in validation" + ", and AP on images of so many objects" * bool(last.bins[head])
    print_table(title, {column: column for column in columns}, rows, group="head" if apart else None)


def _best_is_another(result: TrainResult) -> bool:
    """Return whether the best checkpoint has other weights than the last."""
    return result.best is not None and result.best.iteration != result.last.iteration


@contextmanager
def _telling_how_to_go_on(run: runs.Run, gpus: int, device: str) -> Iterator[None]:
    """Add to the error of a run that has a checkpoint how to go on from it."""
    try:
        yield
    except Exception as error:
        failure = explain(error)
        if launch.is_worker() or not isinstance(failure, RunFailed) or failure.exit_code == 2:
            raise
        if not run.all_checkpoints():
            raise
        alike = f" --gpus {gpus}" * (gpus > 1) + f" --device {device}" * (device != "auto")
        which = f"--name {run.name}" if run.handle == run.name else f"--work-dir {run.path}"
        end = "" if failure.message.endswith(".") else "."
        failure.message += f"{end} Go on from its last checkpoint: rgacli train --resume {which}{alike}"
        raise failure from (None if failure is error else error)
