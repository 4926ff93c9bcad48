"""What a record says of where it was taken."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device

import rgacli
from rgacli.cores import cores

_PACKAGES = (
    *("torch", "torchvision", "mmdet", "mmengine", "mmcv-lite", "mmcv", "numpy"),
    *("hotcoco", "pycocotools", "faster-coco-eval"),
)


def about() -> dict[str, Any]:
    """Return the date, the machine, the versions and, in a checkout of this package, the commit."""
    return {
        "date": date.today().isoformat(),
        "commit": _commit(Path(rgacli.__file__).parent),
        "machine": {
            "device": get_device(),
            "name": torch.cuda.get_device_name() if get_device() == "cuda" else _processor(),
            "cores": cores(),
            "threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {
            "rgacli": rgacli.__version__,
            "python": platform.python_version(),
            **{name: found for name in _PACKAGES if (found := version(name))},
            **({"CUDA": torch.version.cuda} if get_device() == "cuda" else {}),
        },
    }


def version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit(folder: Path) -> str | None:
    """Return the commit of a checkout, with "+" where it has changes; None of an installed package."""
    if not (folder.parent / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(folder)]
        found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "-s", "."], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout[:7] + ("+" if changes.stdout.strip() else "")
