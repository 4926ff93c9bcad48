"""`rgacli train`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rgacli import runs
from rgacli.cli.device import DeviceOption, use_device
from rgacli.cli.output import say
from rgacli.errors import RunFailed, UsageError, explain
from rgacli.files import write_text

if TYPE_CHECKING:
    from mmengine.config import Config

QUICKSTART = "quickstart"
LITE = "faster-rcnn_r18-lite_fpn_rga-prm"


def train(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG",
            show_default=False,
            help="A bundled config, one of mmdet's (mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py) or a file. "
            f"Default: {QUICKSTART}; with --data, {LITE}.",
        ),
    ] = None,
    lambda0: Annotated[
        float | None,
        typer.Option(
            help="RGA: factor on the R-CNN heads' gradients at the first step, falling to 1 at the last; 1 is no RGA. "
            "Default: the config's, else the paper's 7.",
            show_default=False,
        ),
    ] = None,
    anneal: Annotated[
        Literal["linear", "none"] | None,
        typer.Option(
            help="RGA: how λ falls; 'none' keeps it at λ0 (Table 4's control). Default: the config's, else linear.",
            show_default=False,
        ),
    ] = None,
    ratios: Annotated[
        str | None,
        typer.Option(
            help="PRM: one R-CNN head per positive:negative sampling ratio. '1:3' alone is the plain baseline. "
            "Default: the config's, else the paper's 1:1,1:9.",
            show_default=False,
        ),
    ] = None,
    sampling: Annotated[
        Literal["soft", "hard"] | None,
        typer.Option(
            help="'soft' fills missing positives with negatives (the paper's); 'hard' repeats positives until the "
            "ratio is met (its Table 8). Default: the config's, else soft.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Dataset folder: COCO's layout, or annotations/{train,val,test}.json with images/. "
            "Default: the config's own dataset; the embedded one where no CONFIG is given.",
            show_default=False,
        ),
    ] = None,
    train_ann: Annotated[Path | None, typer.Option(help="Training annotations, where --data does not tell.")] = None,
    val_ann: Annotated[Path | None, typer.Option(help="Validation annotations, where --data does not tell.")] = None,
    test_ann: Annotated[Path | None, typer.Option(help="Test annotations, where --data does not tell.")] = None,
    train_images: Annotated[Path | None, typer.Option(help="Training images, where --data does not tell.")] = None,
    val_images: Annotated[Path | None, typer.Option(help="Validation images, where --data does not tell.")] = None,
    test_images: Annotated[Path | None, typer.Option(help="Test images, where --data does not tell.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs to train; the learning-rate schedule is stretched to match. Default: the config's.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step. Default: the config's.", show_default=False)
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Learning rate. Default: the config's, scaled linearly from its base batch size to yours "
            "(the paper: 0.02 for 16 images).",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed, for weights, data order and sampling.")
    ] = 0,
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision: fp16 with a loss scaler (CUDA only).")] = False,
    device: DeviceOption = "auto",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run under runs/. Default: the config's name and the time.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run --name (default: the latest) from its last checkpoint.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any key of the config, such as model.backbone.depth=101. Repeatable.",
        ),
    ] = None,
) -> None:
    """Train a two-stage detector with R-CNN Gradient Annealing and Parallel R-CNN Modules.

    With no CONFIG and no --data it trains the quickstart on the embedded dataset. `--lambda0 1 --ratios 1:3` is the
    plain baseline. Ctrl-C stops after the current iteration and leaves a checkpoint for --resume.
    """
    use_device(device)
    locations = {
        "annotations": {"train": train_ann, "val": val_ann, "test": test_ann},
        "images": {"train": train_images, "val": val_images, "test": test_images},
    }
    if resume:
        _refuse_with_resume(context)
        run = runs.find_run(name)
        _train(run, _resumed_config(run), run.last_checkpoint())
        return

    from rgacli.core.configs import set_keys
    from rgacli.core.ratios import parse_ratios
    from rgacli.core.recipe import apply_method
    from rgacli.core.schedule import set_batch_size, set_epochs, set_learning_rate, use_mixed_precision
    from rgacli.data.binding import require_trainable
    from rgacli.evaluation.variants_metric import evaluate_variants

    heads = parse_ratios(ratios) if ratios is not None else None
    cfg = _new_config(config, data, locations)
    set_keys(cfg, set_ or [])
    apply_method(cfg, lambda0=lambda0, anneal=anneal, ratios=heads, sampling=sampling)
    if epochs is not None:
        set_epochs(cfg, epochs)
    if batch_size is not None:
        set_batch_size(cfg, batch_size)
    say(set_learning_rate(cfg, lr))
    if amp:
        use_mixed_precision(cfg)
    evaluate_variants(cfg)
    cfg.randomness = dict(seed=seed)
    require_trainable(cfg)

    from rgacli.core.training import prepare

    with runs.new_run(name or f"{Path(cfg.filename).stem}_{datetime.now():%Y%m%d-%H%M%S}") as run:
        prepare(cfg, run.path, run.checkpoints)
        write_text(run.config, cfg.pretty_text)
        _train(run, cfg, None)


def _new_config(config: str | None, data: Path | None, locations: dict[str, dict[str, Path | None]]) -> Config:
    """The config, pointed at its dataset."""
    from rgacli.core.configs import load_config
    from rgacli.data.binding import use_dataset
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


def _resumed_config(run: runs.Run) -> Config:
    from rgacli.core.configs import load_config
    from rgacli.core.training import prepare

    cfg = load_config(str(run.config))
    prepare(cfg, run.path, run.checkpoints)  # the run directory may have been moved
    return cfg


def _refuse_with_resume(context: typer.Context) -> None:
    """Raises a UsageError if the command line names anything but the run and where it goes on."""
    given = [
        parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        for parameter in context.command.params
        if parameter.name not in ("resume", "name", "device")
        and context.get_parameter_source(parameter.name).name == "COMMANDLINE"
    ]
    if given:
        raise UsageError(f"--resume goes on with the run's own config: leave out {', '.join(given)}.")


def _train(run: runs.Run, cfg: Config, resume_from: Path | None) -> None:
    from rgacli.cli.progress import live_progress
    from rgacli.cli.progress_hook import ProgressHook
    from rgacli.core.ratios import names_by_slug, parse_ratios
    from rgacli.core.training import train

    roi_head = cfg.model.roi_head
    heads = names_by_slug(parse_ratios(list(roi_head.ratios)))
    hook = next(hook for hook in cfg.custom_hooks if hook.type == "GradientAnnealingHook")
    say(
        f"run {run.path}: {len(heads)} R-CNN head{'s' * (len(heads) > 1)} at {', '.join(heads.values())} "
        f"({roi_head.sampling} sampling), λ0 {hook.lambda0:g} ({hook.anneal})"
        + (f", from {resume_from}" if resume_from else "")
    )
    try:
        with live_progress() as progress:
            train(cfg, run.checkpoints, run.metrics, [ProgressHook(progress, heads)], resume_from)
    except Exception as error:
        failure = explain(error)
        if not isinstance(failure, RunFailed) or not run.all_checkpoints():
            raise
        hint = f"Go on from its last checkpoint: rgacli train --resume --name {run.handle}"
        raise type(failure)(f"{failure} {hint}") from error
    say(f"done: {run.last_checkpoint()}")
    say(f"next: rgacli eval {run.handle} --head all; rgacli analyze gt-bins {run.handle}")
