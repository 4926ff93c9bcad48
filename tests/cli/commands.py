"""Calling the command line in tests: in this process where that is safe, in one of its own where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from rgacli.cli.app import app
from rgacli.locks import LOCK

RUN = "base"
EPOCHS = 3
ITERATIONS = 6  # 8 training images, 4 at a time, 3 epochs

_SIZES = {
    "model.backbone.base_channels": 8,
    "model.neck.in_channels": [8, 16, 32, 64],
    "model.neck.out_channels": 16,
    "model.rpn_head.in_channels": 16,
    "model.rpn_head.feat_channels": 16,
    "model.roi_head.bbox_roi_extractor.out_channels": 16,
    "model.roi_head.bbox_head.in_channels": 16,
    "model.roi_head.bbox_head.fc_out_channels": 16,
    "default_hooks.logger.interval": 1,
    "log_processor.window_size": 1,
}
_IN_PROCESS = {f"{split}_dataloader.num_workers": 0 for split in ("train", "val", "test")}


def settings(values: dict) -> list[str]:
    """--set options."""
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


SMALL = settings(_SIZES)
"""Shrinks the quickstart to milliseconds a step and logs every step."""

TINY = SMALL + settings(_IN_PROCESS)
"""The same, without processes for loading data."""


def invoke(*arguments):
    """Runs the command line in this process and in its working folder."""
    if "mmengine" in sys.modules:
        from mmengine.utils import ManagerMixin

        for kind in subclasses(ManagerMixin):  # what a process starts without: logs, visualizers, …
            kind._instance_dict.clear()
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def subclasses(kind: type) -> Iterator[type]:
    """All that derive from a class, at any depth."""
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def start(*arguments, cwd: Path, **options) -> subprocess.Popen:
    """Starts the command line in a process of its own, away from any GPU."""
    return subprocess.Popen(
        [sys.executable, "-m", "rgacli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def call(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    """Runs the command line in a process of its own to its end."""
    with start(*arguments, cwd=cwd) as process:
        stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def commands(app) -> dict[str, object]:
    """Every command by its words: "train", "data check"; groups left out."""

    def walk(group, words=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*words, name))
            else:
                yield " ".join((*words, name)), command

    return dict(walk(get_command(app)))


def error_line(stderr: str) -> str:
    """The one line that tells of the error; there must be exactly one, and no traceback."""
    assert "Traceback" not in stderr, stderr
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    return lines[0]


def snapshot(*folders: Path) -> dict[Path, tuple[int, int] | None]:
    """All that lies in the folders but notes of locks: a path -> size and time of a file, None for a folder."""
    found: Iterable[Path] = (path for folder in folders for path in folder.rglob("*") if path.name != LOCK)
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None for path in found}


def logged(run: Path) -> tuple[list[dict], list[dict]]:
    """What a run's metrics.jsonl holds: training steps, validations. Refuses what is no strict JSON."""

    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line], [line for line in lines if "loss" not in line]
