"""What `rgacli ensemble` combines: the heads of one run, separate detectors, or results files of any framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rgacli.cli.sources.detectors import Detectors
from rgacli.cli.sources.heads import Heads
from rgacli.cli.sources.results_files import Results
from rgacli.cli.sources.source import AVERAGE, METHODS, Costs, Source
from rgacli.cli.target import SplitName, find_target
from rgacli.errors import UsageError

__all__ = ["AVERAGE", "METHODS", "Costs", "Detectors", "Heads", "Results", "Source", "find_source"]


def find_source(
    runs: Sequence[str] | None,
    checkpoints: Sequence[Path] | None,
    configs: Sequence[str] | None,
    data: Path | None,
    split: SplitName,
    calibrate: SplitName | None,
) -> Source:
    """The heads of one run or checkpoint, or several as separate detectors.

    Raises:
        UsageError: what is named cannot be used or combined.
    """
    if checkpoints and runs:
        raise UsageError("give RUNs or --checkpoint, not both.")
    if configs and not checkpoints:
        raise UsageError("--config says what a --checkpoint was trained by: give that as well.")
    checkpoints, configs = list(checkpoints or ()), list(configs or [None])
    if len(configs) == 1:
        configs *= len(checkpoints)  # one of all; or none, where each lies in its run
    if len(configs) != len(checkpoints):
        raise UsageError(f"--config: {len(configs)} for {len(checkpoints)} --checkpoint; give one each, or one of all.")
    named = [(None, *pair) for pair in zip(checkpoints, configs, strict=True)]
    named = named or [(run, None, None) for run in runs or [None]]
    if len(named) > 1:
        if calibrate:
            raise UsageError("--calibrate goes with --method dispatch, which weighs the heads of one run.")
        return Detectors([find_target(*one, data, split) for one in named])
    if calibrate == split:
        raise UsageError(f"--calibrate {split} is the split that is evaluated: name another.")
    (one,) = named
    return Heads(find_target(*one, data, split), lambda other: find_target(*one, data, other), calibrate)
