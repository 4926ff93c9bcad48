"""The options of `rgacli train`, by the panels of its help."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rgacli.cli.options import LAYOUTS, SPLIT_BY_HELP
from rgacli.config.catalogue import LITE, QUICKSTART


def _option(panel: str, *names: str, help: str, **settings: Any) -> Any:
    """Return an option whose default its help tells, or that has none to show."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=settings.pop("show", False), **settings)


ConfigArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="CONFIG",
        show_default=False,
        help="A bundled config (`rgacli configs` lists them), one of mmdet's "
        "(mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py) or a file. "
        f"Default: {QUICKSTART}; with --data, {LITE}.",
    ),
]

_METHOD = "Method"
Lambda0Option = Annotated[
    float | None,
    _option(
        _METHOD,
        help="RGA: factor on the R-CNN heads' gradients at the first step, falling to 1 at the last; 1 is no RGA. "
        "From trained --weights 3 and 7 beat 1 on BCCD (3 seeds), 7 did worse on the embedded dataset (5 seeds): "
        "try 1 as well. Default: the config's, else the paper's 7.",
    ),
]
AnnealOption = Annotated[
    Literal["linear", "none"] | None,
    _option(
        _METHOD,
        help="RGA: how λ falls; 'none' keeps it at λ0 (Table 4's control). Default: the config's, else linear.",
    ),
]
RatiosOption = Annotated[
    str | None,
    _option(
        _METHOD,
        help="PRM: one R-CNN head per positive:negative sampling ratio. '1:3' alone is the plain baseline. "
        "Default: the config's, else the paper's 1:1,1:9.",
    ),
]
SamplingOption = Annotated[
    Literal["soft", "hard"] | None,
    _option(
        _METHOD,
        help="'soft' fills missing positives with negatives (the paper's); 'hard' repeats positives until the "
        "ratio is met (its Table 8). Default: the config's, else soft.",
    ),
]
HeadLossOption = Annotated[
    Literal["sum", "mean"] | None,
    _option(
        _METHOD,
        help="PRM: 'sum' adds the K heads' losses up (the paper's), which gives the backbone about K times the "
        "gradient of one R-CNN head; 'mean' divides them by K: the control that tells the ensemble's effect from that "
        "of a higher learning rate. Default: the config's, else sum.",
    ),
]
DrawsOption = Annotated[
    Literal["independent", "nested"] | None,
    _option(
        _METHOD,
        help="PRM: each head draws its RoIs for itself ('independent', the paper's), or all in one random order of an "
        "image's boxes ('nested'): each head's own draw is as random as before, and together they look at fewer RoIs. "
        "Default: the config's, else independent.",
    ),
]
RgaOption = Annotated[
    bool | None,
    _option(
        _METHOD,
        "--rga/--no-rga",
        help="Train with RGA or without. Default: with it, unless the config says `plain = True`.",
    ),
]
PrmOption = Annotated[
    bool | None,
    _option(
        _METHOD,
        "--prm/--no-prm",
        help="Train with PRM or without, on mmdet's own heads; --no-rga --no-prm trains any mmdet detector as it "
        "is. Default: with PRM where the RoI head allows it, unless the config says `plain = True`.",
    ),
]

_START = "Start"
WeightsOption = Annotated[
    str | None,
    _option(
        _START,
        metavar="FILE|URL",
        help="Start from a trained detector: a checkpoint of mmdet's zoo, of `export head` or `export fold`, of a run, "
        "or torchvision's fasterrcnn_resnet50_fpn. Its one head becomes every parallel one, heads go by their ratios, "
        "and layers of classes that it was not trained for start anew. Default: the config's pretrained backbone.",
    ),
]
FreezeBackboneOption = Annotated[
    int | None,
    _option(
        _START,
        min=0,
        metavar="N",
        help="Keep the backbone's stem and its first N stages as they are. Default: the config's.",
    ),
]

_DATA = "Data"
DataOption = Annotated[
    Path | None,
    _option(
        _DATA,
        help=f"Dataset: {LAYOUTS} (--split-by). Default: the config's own dataset; the embedded one where no CONFIG is "
        "given.",
    ),
]
TrainAnnOption = Annotated[Path | None, _option(_DATA, help="Training annotations, where --data does not tell.")]
ValAnnOption = Annotated[Path | None, _option(_DATA, help="Validation annotations, where --data does not tell.")]
TestAnnOption = Annotated[Path | None, _option(_DATA, help="Test annotations, where --data does not tell.")]
TrainImagesOption = Annotated[Path | None, _option(_DATA, help="Training images, where --data does not tell.")]
ValImagesOption = Annotated[Path | None, _option(_DATA, help="Validation images, where --data does not tell.")]
TestImagesOption = Annotated[Path | None, _option(_DATA, help="Test images, where --data does not tell.")]
SplitByOption = Annotated[str | None, _option(_DATA, metavar="SHARES", help=SPLIT_BY_HELP)]

MaxDetsOption = Annotated[
    int | None,
    _option(
        _DATA,
        min=1,
        help="Detections of an image that the detector can give: raises its own limits, on proposals as well, and "
        "validation counts as many. Default: COCO's 100 (CrowdHuman: 500), at which configs of 100 stay as they are, "
        "or the next hundred above the densest image.",
    ),
]

_SCHEDULE = "Schedule"
EpochsOption = Annotated[
    int | None,
    _option(
        _SCHEDULE,
        help="Epochs to train; the learning-rate schedule is stretched to match. 0, with --weights, writes what a "
        "training would start from. Default: the config's.",
    ),
]
BatchSizeOption = Annotated[
    int | None, _option(_SCHEDULE, help="Images per iteration of one process. Default: the config's.")
]
LrOption = Annotated[
    float | None,
    _option(
        _SCHEDULE,
        help="Learning rate. Default: the config's, scaled linearly from its base batch size to the images that an "
        "optimizer step sees (the paper: 0.02 for 16).",
    ),
]
ScaleLrOption = Annotated[
    bool,
    _option(
        _SCHEDULE, "--scale-lr/--no-scale-lr", help="Scale the config's learning rate, or take it as it is.", show=True
    ),
]
AccumulateOption = Annotated[
    int | None,
    _option(_SCHEDULE, help="Iterations whose gradients an optimizer step accumulates. Default: the config's, else 1."),
]
ClipOption = Annotated[
    float | None,
    _option(
        _SCHEDULE, help="Clip the norm of the gradients at this value, after λ; 0: not at all. Default: the config's."
    ),
]
SeedOption = Annotated[
    int | None,
    _option(
        _SCHEDULE,
        min=0,
        max=2**32 - 1,
        help="Random seed, for weights, data order, augmentation and sampling. Default: the config's, else 0.",
    ),
]

_VALIDATION = "Validation"
BestOption = Annotated[
    str | None,
    _option(
        _VALIDATION,
        metavar="HEAD/METRIC",
        help="Keep the checkpoint that is best in validation as checkpoints/best.pth, which --which best takes: by "
        "ensemble/AP, 1:9/AP50, …; 'none' keeps none. Default: AP (on CrowdHuman mMR) of the ensemble or only head.",
    ),
]
PatienceOption = Annotated[
    int | None,
    _option(
        _VALIDATION,
        min=1,
        metavar="N",
        help="Stop after N validations without a better --best. λ anneals over all --epochs: a training that stops "
        "early has not come to λ 1, which is part of RGA. Default: train to the end.",
    ),
]
EmaOption = Annotated[
    bool,
    _option(
        _VALIDATION,
        "--ema",
        help="Validate and save an exponential moving average of the weights in their place (as YOLOX and RTMDet do).",
    ),
]
EmaMomentumOption = Annotated[
    float | None,
    _option(
        _VALIDATION,
        help="Share of a step's weights in that average, larger in the first thousands of steps. 0.0002 is what others "
        "call a decay of 0.9998. Given alone it switches --ema on. Default: 0.0002.",
    ),
]

_PRECISION = "Precision and scale"
AmpOption = Annotated[bool, _option(_PRECISION, "--amp", help="Automatic mixed precision.")]
AmpDtypeOption = Annotated[
    Literal["fp16", "bf16"] | None,
    _option(
        _PRECISION,
        help="Its type: fp16, with a loss scaler, or bf16, without. Given alone it switches --amp on. Default: fp16.",
    ),
]
CompileOption = Annotated[
    bool,
    _option(
        _PRECISION,
        "--compile",
        help="Compile the backbone and the neck by torch.compile: a minute at first, then quicker steps on a GPU. "
        "Losses stay the same to rounding. Default: off.",
    ),
]
SyncBnOption = Annotated[
    bool, _option(_PRECISION, "--sync-bn", help="Batch statistics over the images of all processes (CUDA only).")
]

_RUN = "Run"
NameOption = Annotated[
    str | None, _option(_RUN, help="Name of the run under runs/. Default: the config's name and the time.")
]
WorkDirOption = Annotated[
    Path | None,
    _option(_RUN, metavar="DIR", file_okay=False, help="Directory of the run, in place of one under runs/."),
]
ResumeOption = Annotated[
    bool,
    _option(
        _RUN,
        "--resume",
        help="Go on with the run --name or in --work-dir (default: the latest) from its last checkpoint; one that was "
        "ended before its first begins again.",
    ),
]


class Tracker(str, Enum):  # Typer takes no list of a Literal
    """What else a run can log to."""

    tensorboard = "tensorboard"
    wandb = "wandb"
    mlflow = "mlflow"
    clearml = "clearml"
    neptune = "neptune"
    aim = "aim"
    dvclive = "dvclive"


TrackOption = Annotated[
    list[Tracker] | None,
    _option(
        _RUN,
        metavar="TRACKER",
        help="Also log to tensorboard, wandb (Weights & Biases), mlflow, clearml, neptune, aim or dvclive. Repeatable.",
    ),
]
ProbeGradientsOption = Annotated[
    int | None,
    _option(
        _RUN,
        min=1,
        metavar="N",
        help="Measure every N iterations what each R-CNN head sends into the backbone, for `rgacli analyze gradients` "
        "(the paper's Fig. 5); the training stays the same to the bit. Default: never.",
    ),
]
ProbeWeightOption = Annotated[
    str | None,
    _option(
        _RUN,
        metavar="NAME",
        help="Weight of the backbone that --probe-gradients measures at. Default: the paper's layer4.0.conv1, or in a "
        "backbone without it the first of its last stage.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    _option(
        _RUN,
        "--set",
        metavar="KEY=VALUE",
        help="Set any key of the config, such as model.backbone.depth=101. Repeatable; mmdet's `--cfg-options "
        "KEY=VALUE KEY=VALUE …` is understood as well.",
    ),
]
