"""`rgacli doctor`."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import typer

import rgacli
from rgacli.cli.options import JsonOption
from rgacli.cli.output import print_json, print_table
from rgacli.errors import explain

_PACKAGES = (
    *("torch", "torchvision", "mmdet", "mmengine", "mmcv-lite", "mmcv", "opencv-python", "opencv-python-headless"),
    *("numpy", "hotcoco", "pycocotools", "matplotlib", "typer", "rich", "setuptools"),
)


def doctor(json: JsonOption = False) -> None:
    """What a bug report needs: versions, native ops, CUDA devices, dataset defaults, and whether a tiny step works.

    Ends with exit code 1 if the tiny forward and backward pass fails.
    """
    facts: dict[str, str] = {
        "rgacli": rgacli.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    works = True
    try:
        facts |= _detector_facts()
    except Exception as error:  # whatever it is, it is what the report is about
        works = False
        facts["tiny training step"] = f"FAILED: {explain(error)}"
    if json:
        print_json({**facts, "works": works})
    else:
        rows = [{"what": what, "value": value} for what, value in facts.items()]
        print_table("rgacli doctor", {"what": "", "value": ""}, rows)
    if not works:
        raise typer.Exit(1)


def _detector_facts() -> dict[str, str]:
    from rgacli.data.synthetic import embedded_folder

    folder = embedded_folder()
    facts = {"embedded dataset": f"{folder} ({'there' if folder.exists() else 'made at first use'})"}

    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts["CUDA"] = f"{torch.version.cuda or 'not in this torch'}; devices: {', '.join(devices) or 'none'}"
    facts["CPU threads"] = str(torch.get_num_threads())

    from rgacli.compat import native_ops
    from rgacli.config.files import load_config
    from rgacli.modeling.build import try_detector

    origin = native_ops.origin()
    supplied = f" ({', '.join(native_ops.supplied_ops())})" if origin == "torchvision" else ""
    facts["mmcv native ops"] = f"{origin}{supplied}"
    result = try_detector(load_config("quickstart"))
    facts["tiny training step"] = f"works (loss {result['loss']:.3f}, gradient norm {result['gradient']:.3f})"
    return facts
