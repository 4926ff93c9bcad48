"""Time and memory grow with the data and with nothing else.

Results of COCO val2017's size and of ten times that are measured. Processor time is what is measured: it minds other
work less than the clock does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.campaign.ended import Ended, require_well
from tests.campaign.stage import Stage
from tests.campaign.trial import Trial
from tests.support.processes import ROOT

_GROWTH = 15.0  # what ten times as much may take, in times: it is sorted, and outgrows the processor's caches
_START = 1.0  # s by which one start differs from another
_FEW = 10  # images
_DETECTORS = ["a", "b"]


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials."""
    sizes = stage.pick((5000, 50_000), (200, 2000))
    ensemble_sizes = stage.pick((5000, 50_000), (100, 1000))
    yield Trial("gt-bins of ten times as many results", f"{sizes[1]} images", _Results(_gt_bins, sizes), True)
    yield Trial("eval of ten times as many results", f"{sizes[1]} images", _Results(_evaluation, sizes), True)
    yield Trial(
        "ensemble of ten times as many results",
        f"{ensemble_sizes[1]} images",
        _Results(_ensemble, ensemble_sizes),
        True,
    )


class _Results:
    """Has made-up results measured, and ten times as many: both have to take ten times as much, at most."""

    def __init__(self, command: Callable[[Path, Sequence[str]], list[str]], sizes: tuple[int, int]) -> None:
        self.command, self.sizes = command, sizes

    def __call__(self, folder: Path) -> dict[str, float]:
        took, figures = [], {}
        for size in (_FEW, *self.sizes):  # of a few, it is the start alone
            inputs = folder / str(size)
            write = "import sys; from pathlib import Path; from rgacli.bench.coco_sized import write; "
            write += f"write(Path(sys.argv[1]), {_DETECTORS}, {size})"
            subprocess.run([sys.executable, "-c", write, inputs], check=True, cwd=ROOT)
            results = [f"{name}={inputs}/{number}.json" for number, name in enumerate(_DETECTORS)]
            took.append(require_well(usage(self.command(inputs, results), cwd=inputs), 0))
            if size != _FEW:
                figures |= {f"s of processor for {size}": took[-1].seconds, f"MB for {size}": took[-1].megabytes}
        start, one, ten = took
        growth = (ten.seconds - start.seconds - _START) / (one.seconds - start.seconds)
        memory = ten.megabytes / one.megabytes
        assert growth < _GROWTH, f"{growth:.1f} times the time for ten times as much: {figures}"
        assert memory < _GROWTH, f"{memory:.1f} times the memory for ten times as much: {figures}"
        return figures


def _gt_bins(folder: Path, results: Sequence[str]) -> list[str]:
    return _rgacli("analyze", "gt-bins", "--results", results[0], "--annotations", folder / "annotations.json")


def _ensemble(folder: Path, results: Sequence[str]) -> list[str]:
    named = [word for each in results for word in ("--results", each)]
    return _rgacli("ensemble", *named, "--annotations", folder / "annotations.json", "--out", "out")


def _evaluation(folder: Path, results: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tests.campaign.measuring", str(folder)]


def _rgacli(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "rgacli", *map(str, arguments)]


# A process begins with the peak of memory of the one that it is forked off: here, of one that holds nothing.
_WAIT = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
seconds, code = used.ru_utime + used.ru_stime, os.waitstatus_to_exitcode(status)
json.dump(dict(code=code, seconds=seconds, megabytes=used.ru_maxrss / 1024), open(sys.argv[1], "w"))
"""


def usage(command: Sequence[str], cwd: Path) -> Ended:
    """Run a command in a fresh process; `seconds` are the processor's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    wait = [sys.executable, "-c", _WAIT, cwd / "usage.json", *command]
    done = subprocess.run(wait, cwd=cwd, env=environment, capture_output=True, text=True)
    used = json.loads((cwd / "usage.json").read_text())
    return Ended(tuple(command), stdout=done.stdout, stderr=done.stderr, **used)
