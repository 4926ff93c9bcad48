"""Hostile input: annotations, images, results, checkpoints, configs, runs, ONNX files, videos and command lines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from tests.campaign.ended import Ended, require_well
from tests.campaign.inputs import (
    annotations,
    checkpoints,
    command_lines,
    configs,
    images,
    onnx_files,
    results,
    run_folders,
    settings,
    videos,
)
from tests.campaign.inputs.case import MARKER, Case, Make
from tests.campaign.inputs.materials import Materials
from tests.campaign.stage import Stage
from tests.campaign.trial import Trial

SECONDS = 120
MEGABYTES = 2500  # beyond what the imports take

# What Python says of values that nobody looked at; whoever reads it cannot tell what to mend.
_PYTHONS = re.compile(
    r"object (has no attribute|is not|does not support)|has no len\(|unsupported operand|unhashable|cannot unpack"
    r"|too many values to unpack|not enough values to unpack|invalid literal for|indices must be|not supported between"
    r"|positional argument|format code|must be real number|division by zero|modulo"
    r"|out of range$|cannot be interpreted as an integer"
)

# Kind of input -> what makes a case, and how many there are in the whole campaign, and in the short one.
GENERATORS: dict[str, tuple[Make, int, int]] = {
    "annotations": (annotations.make, 420, 25),
    "images": (images.make, 280, 15),
    "results files": (results.make, 200, 15),
    "checkpoints": (checkpoints.make, 300, 15),
    "configs": (configs.make, 300, 12),
    "settings": (settings.make, 120, 6),
    "run folders": (run_folders.make, 200, 12),
    "ONNX files": (onnx_files.make, 60, 5),
    "videos": (videos.make, 80, 5),
    "command lines": (command_lines.make, 340, 15),
}


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield a trial for each case: its name is the seed, its generator, and its number."""
    materials = Materials(stage)
    for kind, (make, whole, short) in GENERATORS.items():
        for index in range(stage.pick(whole, short)):
            name = f"seed {stage.seed}, {kind}, {index:04}"
            yield Trial(kind, name, partial(_attempt, materials, make, name))


def _attempt(materials: Materials, make: Make, name: str, folder: Path) -> None:
    case = make(materials, Random(name), folder)
    ended = materials.stage.rgacli(
        *case.arguments,
        cwd=folder,
        seconds=SECONDS,
        megabytes=MEGABYTES,
        environment={"RGACLI_CACHE": str(folder / "cache")},
    )
    try:
        require_took_well(case, ended, folder)
    except AssertionError as failure:
        raise AssertionError(f"{case.what}\n{failure}") from None


def require_took_well(case: Case, ended: Ended, folder: Path) -> None:
    """Fail unless a command ended well, ran no code of its input, and did not take what is plainly wrong."""
    assert not os.path.lexists(folder / MARKER), f"ran code: {' '.join(ended.arguments)}"
    if ended.code != 2 or ended.errors or not _checked(case, ended):
        require_well(ended)
    for line in ended.errors:
        assert not _PYTHONS.search(line), f"Python's own words: {' '.join(ended.arguments)}\n{line}"
    assert ended.code or not case.wrong, f"taken without a word: {' '.join(ended.arguments)}\n{ended.stderr[-1000:]}"


def _checked(case: Case, ended: Ended) -> bool:
    """Whether `data check`, or `data crowdhuman`, ended with its list of problems, which is what it is for."""
    return case.arguments[:2] in (("data", "check"), ("data", "crowdhuman")) and "Traceback" not in ended.stderr
