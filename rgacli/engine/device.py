"""Choosing the device that mmengine runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from mmengine.device import utils as mmengine_device

from rgacli.errors import UsageError
from rgacli.wording import function, param

Device = Literal["auto", "cpu", "cuda", "mps"]


@contextmanager
def on_device(name: Device) -> Iterator[None]:
    """Run a block on a device: "auto" is CUDA where mmengine sees it, else the CPU.

    "mps", the GPU of a Mac, is taken only when it is named: torch and torchvision have kernels for all that is needed
    (float32 alone), but none of it is tested there.

    Raises:
        UsageError: there is no such device.
    """
    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if name in available and not available[name]():
        raise UsageError(
            f"{param('device', name)}: torch sees no {name.upper()} device ({function('doctor')} shows what it sees)."
        )
    before = mmengine_device.DEVICE
    if name in ("cpu", "mps"):
        mmengine_device.DEVICE = name
    elif before == "mps":
        mmengine_device.DEVICE = "cpu"
    try:
        yield
    finally:
        mmengine_device.DEVICE = before
