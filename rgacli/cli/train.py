"""`rgacli train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rgacli import runs
from rgacli.cli import launch
from rgacli.cli import train_options as options
from rgacli.cli.device import use_device
from rgacli.cli.output import say
from rgacli.cli.train_options import LITE, QUICKSTART
from rgacli.errors import RunFailed, UsageError, explain
from rgacli.files import write_text

if TYPE_CHECKING:
    from mmengine.config import Config


def train(
    context: typer.Context,
    config: options.ConfigArgument = None,
    lambda0: options.Lambda0Option = None,
    anneal: options.AnnealOption = None,
    ratios: options.RatiosOption = None,
    sampling: options.SamplingOption = None,
    rga: options.RgaOption = None,
    prm: options.PrmOption = None,
    data: options.DataOption = None,
    train_ann: options.TrainAnnOption = None,
    val_ann: options.ValAnnOption = None,
    test_ann: options.TestAnnOption = None,
    train_images: options.TrainImagesOption = None,
    val_images: options.ValImagesOption = None,
    test_images: options.TestImagesOption = None,
    epochs: options.EpochsOption = None,
    batch_size: options.BatchSizeOption = None,
    lr: options.LrOption = None,
    scale_lr: options.ScaleLrOption = True,
    accumulate: options.AccumulateOption = None,
    clip: options.ClipOption = None,
    seed: options.SeedOption = 0,
    amp: options.AmpOption = False,
    amp_dtype: options.AmpDtypeOption = None,
    sync_bn: options.SyncBnOption = False,
    gpus: launch.GpusOption = 1,
    nnodes: launch.NnodesOption = 1,
    node_rank: launch.NodeRankOption = 0,
    rdzv_endpoint: launch.RdzvEndpointOption = None,
    launcher: launch.LauncherOption = "none",
    device: launch.DeviceOption = "auto",
    name: options.NameOption = None,
    resume: options.ResumeOption = False,
    track: options.TrackOption = None,
    set_: options.SetOption = None,
) -> None:
    """Train a two-stage detector with R-CNN Gradient Annealing and Parallel R-CNN Modules.

    With no CONFIG and no --data it trains the quickstart on the embedded dataset. `--lambda0 1 --ratios 1:3` is the
    plain baseline. Ctrl-C stops after the current iteration and leaves a checkpoint for --resume.
    """
    use_device(device)
    if resume:
        _refuse_with_resume(context)
        run = runs.find_run(name)
        name = run.handle
    else:
        name = name or _default_name(config or (LITE if data else QUICKSTART))
        run = runs.Run(runs.ROOT / name)
    with _telling_how_to_go_on(run, gpus, device):
        if launch.run_in_processes(
            context,
            gpus=gpus,
            nnodes=nnodes,
            node_rank=node_rank,
            rdzv_endpoint=rdzv_endpoint,
            launcher=launcher,
            device=device,
            arguments=("--name", name),
        ):
            return
        if resume:
            _resume(run)
            return

        from mmengine.dist import get_world_size, is_main_process

        from rgacli.config.dataset import require_trainable
        from rgacli.config.files import set_keys
        from rgacli.config.recipe import apply_method
        from rgacli.config.schedule import (
            set_accumulation,
            set_batch_size,
            set_clipping,
            set_epochs,
            set_learning_rate,
        )
        from rgacli.engine.distributed import of_rank_0, together, use_sync_bn
        from rgacli.engine.precision import use_mixed_precision
        from rgacli.engine.trackers import use_trackers
        from rgacli.engine.training import prepare
        from rgacli.evaluation.variants_metric import evaluate_variants
        from rgacli.method import parse_ratios

        name = of_rank_0(name)  # several machines tell the time differently
        locations = {
            "annotations": {"train": train_ann, "val": val_ann, "test": test_ann},
            "images": {"train": train_images, "val": val_images, "test": test_images},
        }
        with ExitStack() as stack:
            with together():
                heads = parse_ratios(ratios) if ratios is not None else None
                cfg = _new_config(config, data, locations)
                set_keys(cfg, set_ or [])
                apply_method(cfg, lambda0=lambda0, anneal=anneal, ratios=heads, sampling=sampling, rga=rga, prm=prm)
                if epochs is not None:
                    set_epochs(cfg, epochs)
                if batch_size is not None:
                    set_batch_size(cfg, batch_size)
                if accumulate is not None:
                    set_accumulation(cfg, accumulate)
                if clip is not None:
                    set_clipping(cfg, clip)
                say(set_learning_rate(cfg, lr, processes=get_world_size(), scale=scale_lr))
                if amp or amp_dtype:
                    use_mixed_precision(cfg, amp_dtype or "fp16")
                if sync_bn:
                    use_sync_bn(cfg)
                use_trackers(cfg, [tracker.value for tracker in track or []])
                require_trainable(cfg)
                evaluate_variants(cfg)
                cfg.randomness = dict(cfg.get("randomness") or {}, seed=seed)
                cfg.processes = get_world_size()
                run = stack.enter_context(runs.new_run(name)) if is_main_process() else runs.Run(runs.ROOT / name)
                prepare(cfg, run.path, run.checkpoints)
                if is_main_process():
                    write_text(run.config, cfg.pretty_text)
            _train(run, cfg, None)


def _new_config(config: str | None, data: Path | None, locations: dict[str, dict[str, Path | None]]) -> Config:
    """The config, pointed at its dataset."""
    from rgacli.config.dataset import use_dataset
    from rgacli.config.files import load_config
    from rgacli.data.layout import find_dataset
    from rgacli.data.synthetic import embedded_dataset

    cfg = load_config(config or (LITE if data else QUICKSTART))
    given = any(path for paths in locations.values() for path in paths.values())
    if data or config is None:
        if data is None:
            say("no CONFIG and no --data: training the quickstart config on the embedded dataset")
        elif config is None:
            say(f"no CONFIG: training {LITE}, fit for a CPU; with a GPU try faster-rcnn_r50_fpn_rga-prm_1x_coco")
        use_dataset(cfg, find_dataset(data or embedded_dataset(), **locations))
    elif given:
        raise UsageError("--train-ann and its like name files of a dataset: give its folder by --data.")
    return cfg


def _resume(run: runs.Run) -> None:
    from mmengine.dist import get_world_size

    from rgacli.config.files import load_config
    from rgacli.config.schedule import share_batch
    from rgacli.engine.distributed import together
    from rgacli.engine.training import prepare

    with together():
        cfg, checkpoint = load_config(str(run.config)), run.last_checkpoint()
        if shared := share_batch(cfg, get_world_size()):
            say(shared)
        prepare(cfg, run.path, run.checkpoints)  # the run directory may have been moved
    _train(run, cfg, checkpoint)


def _refuse_with_resume(context: typer.Context) -> None:
    """Raises a UsageError if the command line names anything but the run and where it goes on."""
    given = [
        parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        for parameter in context.command.params
        if parameter.name not in ("resume", "name", "device", *launch.OPTIONS)
        and context.get_parameter_source(parameter.name).name == "COMMANDLINE"
    ]
    if given:
        raise UsageError(f"--resume goes on with the run's own config: leave out {', '.join(given)}.", shared=True)


def _default_name(config: str) -> str:
    return f"{Path(config).stem}_{datetime.now():%Y%m%d-%H%M%S}"


def _train(run: runs.Run, cfg: Config, resume_from: Path | None) -> None:
    from mmengine.dist import is_main_process

    from rgacli.cli.progress import live_progress
    from rgacli.cli.progress_hook import ProgressHook
    from rgacli.config.recipe import describe_method, parallel_ratios
    from rgacli.engine.training import train
    from rgacli.method import names_by_slug

    heads = names_by_slug(parallel_ratios(cfg))
    say(f"run {run.path}: {describe_method(cfg)}" + (f", from {resume_from}" if resume_from else ""))
    with live_progress() as progress:
        train(cfg, run.checkpoints, run.metrics, [ProgressHook(progress, heads)], resume_from)
    if is_main_process():
        say(f"done: {run.last_checkpoint()}")
    say(f"next: rgacli eval {run.handle} --head all; rgacli analyze gt-bins {run.handle}")


@contextmanager
def _telling_how_to_go_on(run: runs.Run, gpus: int, device: str) -> Iterator[None]:
    """Adds to the error of a run that has a checkpoint how to go on from it."""
    try:
        yield
    except Exception as error:
        failure = explain(error)
        if launch.is_worker() or not isinstance(failure, RunFailed) or failure.exit_code == 2:
            raise
        if not run.all_checkpoints():
            raise
        alike = f" --gpus {gpus}" * (gpus > 1) + f" --device {device}" * (device != "auto")
        failure.args = (f"{failure} Go on from its last checkpoint: rgacli train --resume --name {run.handle}{alike}",)
        raise failure from (None if failure is error else error)
