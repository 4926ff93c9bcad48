"""Choosing the device, before torch is imported."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from rgacli.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]
DeviceOption = Annotated[Device, typer.Option(help="Where to run; 'auto' takes CUDA where there is one.")]


def use_device(name: Device) -> None:
    """mmengine takes CUDA where it sees it: "cpu" hides it, "cuda" insists on it.

    Raises:
        UsageError: "cuda" without a CUDA device.
    """
    if name == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: torch sees no CUDA device (rgacli doctor shows what it sees).")
