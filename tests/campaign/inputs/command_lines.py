"""Command lines: for every command, typer's own parameters with values out of range, of other types, or absurd."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, get_args, get_origin

from tests.campaign.inputs.case import Case
from tests.campaign.inputs.materials import Materials
from tests.cli.commands import TINY, commands

_TEXTS = (
    *("", " ", "x", "-", "--", "..", ".", "/", "a/b", "é" * 40, "x" * 300, "x" * 5000, "a,b", ",", ":", "1:", ":9"),
    *(
        "0:0",
        "1:-1",
        "nan",
        "[red]",
        "[/]",
        "{0}",
        "%s",
        "*",
        "?",
        "~",
        "a b",
        "a\nb",
        "\t",
        "\x1b[31m",
        "None",
        "\udce9",
    ),
    *(
        "1-3,2-5",
        "8+,1-3",
        "-1",
        "0",
        "1e400",
        "9" * 400,
        "1:1," * 500,
        "A=B",
        "=",
        "a==b",
        "cpu:99",
        "cuda:99",
        "meta",
    ),
)
_NUMBERS = (
    "-1",
    "0",
    "-9999999999",
    "1.5",
    "x",
    "",
    "nan",
    "inf",
    "-inf",
    "1e30",
    "1e-320",
    "1e400",
    "0x10",
    "１",
    "None",
)
_HUGE = ("99999999999", "9" * 30)
_PATHS = (
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    "/proc/nosuch/x",
    "x" * 300,
    "nosuch/x",
    "a\nb",
    "é",
    "file.txt",
    "folder",
    "empty.json",
    "loop",
    "fifo",
    "/dev/zero",
)
# Of these a huge number is no nonsense, only long work, or it is memory that somebody asked for.
_LONG = (
    *("epochs", "train", "val", "test", "images", "samples", "reference_samples", "repeats", "warm_up", "bootstrap"),
    *("batch", "batches", "size", "workers", "threads", "jobs", "proposals", "rois", "nnodes", "max_objects"),
    *("show_count", "max_dets"),
)
# Never with --yes: what they would delete is named at random.
_LEFT_OUT = ("yes", "open", "install_completion", "show_completion", "help", "launcher", "nnodes", "rdzv_endpoint")


def make(materials: Materials, random: Random, folder: Path) -> Case:
    """Make a case: sound arguments of a command, and one or two parameters that are hostile."""
    table = _commands()
    name = random.choice(list(table))
    _litter(folder)
    arguments = [*name.split(), *_sound(materials, folder, name)]
    parameters = [each for each in table[name].params if each.name not in _LEFT_OUT]
    said = []
    for parameter in random.sample(parameters, min(len(parameters), random.choice((1, 1, 1, 2, 3)))):
        value = _value(random, parameter)
        if parameter.param_type_name == "argument":
            arguments.append(str(value))
            said.append(f"{parameter.name} {value!r:.40}")
            continue
        option = random.choice([*parameter.opts, *parameter.secondary_opts])
        arguments += [option] if parameter.is_flag else [option, str(value)]
        said.append(f"{option} {value!r:.40}")
    wrong = False
    return Case(f"{name}: {', '.join(said)}", tuple(arguments), wrong)


@cache
def _commands() -> dict[str, Any]:
    from rgacli.cli.app import app

    # What they do takes minutes, whatever they are given.
    return {name: command for name, command in commands(app).items() if name not in ("doctor", "bench all")}


def _litter(folder: Path) -> None:
    """What paths may lead to."""
    import os

    (folder / "file.txt").write_text("a text\n")
    (folder / "empty.json").touch()
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")


def _kind(parameter: Any) -> Any:
    """Return the type of a parameter's values, without Optional and list."""
    kind = parameter.type_descriptor.annotation if hasattr(parameter, "type_descriptor") else str
    while get_origin(kind) is not None and get_args(kind) and str(get_origin(kind)) != "typing.Literal":
        kind = next((each for each in get_args(kind) if each is not type(None)), str)
    return kind


def _value(random: Random, parameter: Any) -> str:
    kind = _kind(parameter)
    if kind in (int, float):
        huge = () if parameter.name in _LONG else _HUGE
        return random.choice((*_NUMBERS, *huge))
    if kind is Path:
        return random.choice(_PATHS)
    return random.choice((*_TEXTS, *_PATHS) if random.random() < 0.3 else _TEXTS)


def _sound(materials: Materials, folder: Path, name: str) -> Sequence[object]:
    """Return the arguments that a command has to have, such that it does little."""
    run, data = materials.copy_of_run(folder), materials.dataset
    image = data / "images/val/000001.jpg"
    first, _, second = name.partition(" ")
    if name == "train":
        return ("quickstart", "--data", data, "--epochs", 1, "--device", "cpu", *TINY)
    if name == "predict":
        return (image, "--run", run, "--out", "out", "--device", "cpu")
    if name in ("eval", "ensemble"):
        return (run, "--device", "cpu")
    if name == "reproduce":
        return ("--table", "1", "--dry-run", "--out", "out")
    if name == "configs":
        return ()
    if first == "runs":
        return () if second == "list" else (run, "--dry-run")[: 2 if second in ("rm", "prune") else 1]
    if first == "export":
        return (run, "--out", "out", *(("--head", "0") if second == "head" else ()))
    if first == "data":
        return {
            "synth": ("synth", "--train", 2, "--val", 1, "--test", 1, "--size", "32x32"),
            "check": (data,),
            "convert": (data, "out"),
            "crowdhuman": (data,),
        }[second]
    if first == "bench":
        return {
            "eval": ("--images", 2, "--samples", 1, "--reference-samples", 1),
            "startup": ("--repeats", 1),
            "data": (
                "--data",
                data,
                "--config",
                "quickstart",
                "--batches",
                1,
                "--batch",
                1,
                "--size",
                64,
                "--workers",
                0,
            ),
        }.get(
            second,
            (
                "--config",
                "quickstart",
                "--batch",
                1,
                "--size",
                64,
                "--repeats",
                1,
                "--warm-up",
                0,
                "--contestants",
                "k2",
                "--device",
                "cpu",
                "--threads",
                1,
            ),
        )
    if name == "analyze dataset":
        return (data, "--out", "out")
    if name == "analyze report":
        return (run, "--out", "out", "--images", 0, "--bootstrap", 0, "--device", "cpu")
    if name in ("analyze positives", "analyze accuracy"):
        return (run, "--out", "out")
    return (run, "--out", "out", "--device", "cpu")
