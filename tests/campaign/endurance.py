"""A training that goes on and on holds no more memory and no more open files at its end than at its beginning.

A toy detector is trained, whose memory and open files are looked at from outside.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression

from tests.campaign.stage import Stage
from tests.campaign.trial import Trial
from tests.cli.commands import settings
from tests.support.processes import ROOT

_LEAK = 1.0  # MB that the last 90 % of a training may add


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trial."""
    iterations = stage.pick(200_000, 20_000)  # of fewer, what the allocator takes at the beginning is all that is seen
    yield Trial("memory and files of a long training", f"{iterations} iterations", _Training(stage, iterations))


@dataclass(frozen=True)
class _Training:
    """Trains a toy for so many iterations, and looks at what the process holds of memory and of files.

    Args:
        stage: The part's.
        iterations: Of the training.
    """

    stage: Stage
    iterations: int

    def __call__(self, folder: Path) -> dict[str, float]:
        toy = settings(
            {
                "model.backbone.base_channels": 4,
                "model.neck.in_channels": [4, 8, 16, 32],
                "model.train_cfg.rpn_proposal.nms_pre": 8,
                "model.train_cfg.rpn_proposal.max_per_img": 8,
                "model.train_cfg.rcnn.sampler.num": 10,
                "model.train_cfg.rpn.sampler.num": 8,
                "train_cfg.val_interval": 10**9,
                "default_hooks.logger.interval": 10,
                "default_hooks.checkpoint.interval": 100,
            }
        )
        epochs = self.iterations // 8  # of 8 images, one at a time
        own = ["--batch-size", 1, "--name", "long", "--best", "none"]
        command = [sys.executable, "-m", "rgacli", *self.stage.training(epochs), *toy, *map(str, own)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
        with open(folder / "output", "w") as output:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
            looks = list(_looks(process, folder / "runs/long/metrics.jsonl"))
        assert process.returncode == 0, (folder / "output").read_text()[-2000:]
        later = [look for look in looks if self.iterations / 10 <= look.iteration < self.iterations]
        assert len(later) >= 5, f"only {len(later)} looks at the process"
        grown = {
            what: _growth([look.iteration for look in later], [getattr(look, what) for look in later], self.iterations)
            for what in ("megabytes", "files")
        }
        assert grown["megabytes"] <= _LEAK, f"{grown['megabytes']:.2f} MB more at the end: {later[:: len(later) // 5]}"
        assert grown["files"] < 1, f"{grown['files']:.1f} open files more at the end"
        return {"MB more": grown["megabytes"], "files more": grown["files"], "MB": later[-1].megabytes}


@dataclass(frozen=True)
class _Look:
    """What a process held when its log had come to an iteration."""

    iteration: int
    megabytes: float
    files: int


def _looks(process: subprocess.Popen, log: Path) -> Iterator[_Look]:
    """Yield what it holds, every other second until it ends."""
    proc = Path("/proc", str(process.pid))
    while process.poll() is None:
        time.sleep(2)
        try:
            iteration = _last_iteration(log)
            pages = int((proc / "statm").read_text().split()[1])
            files = len(list((proc / "fd").iterdir()))
        except OSError:  # no log yet, or the process has just ended
            continue
        if iteration:
            yield _Look(iteration, pages * resource.getpagesize() / 2**20, files)


def _last_iteration(log: Path) -> int:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        steps = re.findall(rb'"step": (\d+)', file.read())
    return int(steps[-1]) if steps else 0


def _growth(iterations: Sequence[int], values: Sequence[float], whole: int) -> float:
    """Return how much a line through the values rises over the last 90 % of a training."""
    return linear_regression(iterations, values).slope * 0.9 * whole
