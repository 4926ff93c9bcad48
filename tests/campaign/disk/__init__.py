"""Disk and rights: full disks, folders that are read-only or vanish, two commands on one run.

`volume` is a disk that can be made full; `works` are the commands that write, and what has to be true of a folder
whatever happened in it. `full`, `rights`, `gone` and `twice` try them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.campaign.disk import full, gone, rights, twice
from tests.campaign.stage import Stage
from tests.campaign.trial import Trial


def trials(stage: Stage) -> Iterator[Trial]:
    """Yield the trials of this part."""
    for module in (full, rights, gone, twice):
        yield from module.trials(stage)
