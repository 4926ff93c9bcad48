"""Choosing the device that mmengine runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from mmengine.device import utils as mmengine_device

from rgacli.errors import UsageError
from rgacli.wording import function, param

Device = Literal["auto", "cpu", "cuda"]


@contextmanager
def on_device(name: Device) -> Iterator[None]:
    """Run a block on a device: mmengine takes CUDA where it sees it, "cpu" hides it, "cuda" insists on it.

    Raises:
        UsageError: "cuda" without a CUDA device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"{param('device', 'cuda')}: torch sees no CUDA device ({function('doctor')} shows what it sees)."
        )
    if name != "cpu":
        yield
        return
    before, mmengine_device.DEVICE = mmengine_device.DEVICE, "cpu"
    try:
        yield
    finally:
        mmengine_device.DEVICE = before
