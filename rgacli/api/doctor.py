"""What a bug report needs."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import rgacli
from rgacli.data.synthetic import embedded_folder
from rgacli.errors import explain

_PACKAGES = (
    *("torch", "torchvision", "mmdet", "mmengine", "mmcv-lite", "mmcv", "opencv-python", "opencv-python-headless"),
    *("numpy", "hotcoco", "pycocotools", "matplotlib", "typer", "rich", "setuptools"),
)


@dataclass(frozen=True)
class Diagnosis:
    """The state of an installation.

    Attributes:
        facts: What -> what it is: versions, native ops, devices, and how a tiny training step went.
        works: Whether the tiny training step worked.
    """

    facts: Mapping[str, str]
    works: bool


def doctor() -> Diagnosis:
    """Look at the installation: its versions, native ops and devices, and whether a tiny training step works."""
    facts = {
        "rgacli": rgacli.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    folder = embedded_folder()
    facts["embedded dataset"] = f"{folder} ({'there' if folder.exists() else 'made at first use'})"
    try:
        for what, value in _detector_facts():  # those before the failure are kept
            facts[what] = value
    except Exception as error:  # whatever it is, it is what the report is about
        return Diagnosis({**facts, "tiny training step": f"FAILED: {explain(error)}"}, works=False)
    return Diagnosis(facts, works=True)


def _detector_facts() -> Iterator[tuple[str, str]]:
    # Imported here, since any of these may be what is broken.
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield "CUDA", f"{torch.version.cuda or 'not in this torch'}; devices: {', '.join(devices) or 'none'}"
    if torch.backends.mps.is_available():
        yield "MPS", "there; used where it is asked for, and untested"
    yield "CPU threads", str(torch.get_num_threads())

    from rgacli.compat import native_ops

    origin = native_ops.origin()
    yield "mmcv native ops", origin + (f" ({', '.join(native_ops.supplied_ops())})" if origin == "torchvision" else "")

    from rgacli.config.files import load_config
    from rgacli.engine.device import on_device
    from rgacli.modeling.build import try_detector

    with on_device("auto"):
        result = try_detector(load_config("quickstart"))
    yield "tiny training step", f"works (loss {result['loss']:.3f}, gradient norm {result['gradient']:.3f})"
