"""`rgacli bench`: how fast all this is, beside others."""

import typer

from rgacli.cli.bench.all import all as all_
from rgacli.cli.bench.detectors import infer, train
from rgacli.cli.bench.others import data, eval, startup
from rgacli.cli.command import Command, DefaultGroup


class _Group(DefaultGroup):
    default = "all"


app = typer.Typer(
    name="bench",
    cls=_Group,
    help="Measure the speed of training, inference, evaluation, loading and starting, beside mmdet's, torchvision's "
    "and pycocotools' (`rgacli bench` alone measures all: see `rgacli bench all --help`).",
)

app.command("all", cls=Command)(all_)
app.command("train", cls=Command)(train)
app.command("infer", cls=Command)(infer)
app.command("eval", cls=Command)(eval)
app.command("data", cls=Command)(data)
app.command("startup", cls=Command)(startup)
